"""The certificates of the stand-in BBS and of its clients, made by the `openssl` of this machine."""

import asyncio
import shutil
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_DAYS = "2"  # longer than any sandbox runs
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class CertificateError(OSError):
    """The certificates could not be made; the message says why."""


def can_make() -> bool:
    """Whether this machine has the program for it."""
    return shutil.which("openssl") is not None


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority, and what it signs: a certificate for the BBS and one for a client. `make` writes the files."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def cert(self, of: str) -> Path:
        return self.folder / f"{of}.pem"

    def key(self, of: str) -> Path:
        return self.folder / f"{of}.key"

    def client(self) -> dict[str, str]:
        """The files as `bbs.tls` names them."""
        return {"ca": str(self.ca), "cert": str(self.cert("client")), "key": str(self.key("client"))}

    def server_context(self) -> ssl.SSLContext:
        """As a BBS serves: it demands a client's certificate from the same authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert("bbs"), self.key("bbs"))
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def make(self, names: Sequence[str]) -> None:
        """The files, for a BBS that has these DNS names. Raises CertificateError."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        ca = ("-keyout", self.key("ca"), "-out", self.ca, "-days", _DAYS, "-subj", "/CN=sandbox-ca")
        await _openssl("req", "-x509", *_KEY, *ca)
        await self._sign("bbs", ",".join(f"DNS:{name}" for name in names))
        await self._sign("client", "DNS:diego-medic")

    async def _sign(self, of: str, names: str) -> None:
        request, extensions = self.folder / f"{of}.csr", self.folder / f"{of}.ext"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        await _openssl("req", *_KEY, "-keyout", self.key(of), "-out", request, "-subj", f"/CN={of}")
        signed = ("-in", request, "-out", self.cert(of), "-days", _DAYS, "-extfile", extensions)
        await _openssl("x509", "-req", "-CA", self.ca, "-CAkey", self.key("ca"), "-CAcreateserial", *signed)


async def _openssl(*arguments: str | Path) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            "openssl",
            *map(str, arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise CertificateError(f"openssl: {error.strerror}") from error
    _, errors = await process.communicate()
    if process.returncode != 0:
        raise CertificateError(f"openssl {arguments[0]}: {errors.decode(errors='replace').strip()}")
