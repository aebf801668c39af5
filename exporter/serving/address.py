"""Where a server listens, and which names and addresses are those of the machine itself."""

from ipaddress import ip_address
from typing import NamedTuple


class Address(NamedTuple):
    """Where to listen; without a host: on every address of the machine."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = "" if self.host is None else f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return self.host is not None and _is_local(self.host)


def parse_address(text: str) -> Address:
    """`:10889`, `127.0.0.1:10889`, `[::1]:10889` or `localhost:10889`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets, as in [::1]:10889, not {text!r}")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"must be HOST:PORT or :PORT, not {text!r}")
    return Address(host or None, int(port))


def names_loopback(host_header: str) -> bool:
    """Whether a Host header is the one of a client that was sent to this machine by this machine's own name.

    A page of another site whose name was rebound to a loopback address sends that site's name.
    """
    host, bracket, port = host_header.rpartition("]") if host_header.startswith("[") else host_header.partition(":")
    if bracket == "]":
        return _is_local(host[1:]) and port[:1] in ("", ":")
    return _is_local(host)


def _is_local(host: str) -> bool:
    """Whether this is `localhost` or an address of the loopback; `127.evil.example` is a name like any other."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
