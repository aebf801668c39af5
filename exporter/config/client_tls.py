"""The TLS of a client that presents a certificate of its own, as the BBS's API demands it."""

import ssl

from exporter.config.pem import load_authorities, load_certificate


def client_context(*, ca: str, cert: str, key: str) -> ssl.SSLContext:
    """A context that presents the certificate, and trusts the authorities of `ca` and no others.

    It checks the server's name. Without any alternative name in a certificate its common name counts, as old
    foundations have it. It reads files: not for the event loop.

    Raises:
        PemError: a file is missing, or is not what its key says; the first of them.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_authorities(context, ca)
    load_certificate(context, cert=cert, key=key)
    return context
