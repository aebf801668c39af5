"""The certificates of a call of the BBS: whom either end believes, and what becomes of files that change."""

import asyncio
import logging
import shutil
import socket
import ssl
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exporter.foundation.bbs_api import DOMAINS
from exporter.foundation.view import CallResult, ProbeResult
from sandbox.bbs import BbsApi
from tests.support.bbs import LONG, Pki, accepting, called, outcome
from tests.support.certificates import Authority


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_that_the_bbs_refuses_proves_nothing_of_it(
    pki: Pki, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    cert, key = Authority(tmp_path, "another").issue("diego-medic")
    context = pki.server_context(version=version)

    def refuse(connection: socket.socket) -> None:  # asyncio's TLS would not say why
        connection.setblocking(True)
        with connection.dup() as still_open, suppress(OSError):
            with connection, suppress(OSError):
                context.wrap_socket(connection, server_side=True)
            still_open.shutdown(socket.SHUT_WR)
            while still_open.recv(4096):  # what nobody reads makes the end a reset, which can overtake the alert
                pass

    async with accepting(lambda connection: asyncio.to_thread(refuse, connection)) as port:
        found = await called(pki, port, cert=str(cert), key=str(key))

    assert outcome(found) == (ProbeResult.TLS, CallResult.TLS)
    assert "UNKNOWN_CA" in found.detail


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_refusal_that_a_reset_overtakes_proves_nothing_either(pki: Pki, version: ssl.TLSVersion) -> None:
    """The server accepts TLS, and resets the connection with the request unread: nobody can say why."""
    context = pki.server_context(version=version)

    def refuse(connection: socket.socket) -> None:
        connection.setblocking(True)
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            secured.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with accepting(lambda connection: asyncio.to_thread(refuse, connection)) as port:
        found = await called(pki, port)

    assert outcome(found) == (ProbeResult.SUCCESS, CallResult.ERROR)
    assert "may refuse the certificate" in found.detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"server_name": "bbs.service.cf.internal"}, "Hostname mismatch"),
        ({"server_name": "127.0.0.2"}, "IP address mismatch"),
    ],
)
async def test_a_bbs_of_another_name_is_not_believed(pki: Pki, change: dict[str, Any], words: str) -> None:
    """The control: at its address it is, which its certificate names as well."""
    async with accepting(partial(BbsApi(pki.server_context()).serve, mute=False)) as port:
        found = await called(pki, port, **change)
        assert outcome(found) == (ProbeResult.TLS, CallResult.TLS)
        assert words in found.detail
        assert outcome(await called(pki, port, server_name="127.0.0.1")) == (ProbeResult.SUCCESS, CallResult.ANSWERED)


async def test_a_bbs_of_another_authority_is_not_believed(pki: Pki, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another")
    async with accepting(partial(BbsApi(pki.server_context()).serve, mute=False)) as port:
        found = await called(pki, port, ca=str(other.certificate))

    assert outcome(found) == (ProbeResult.TLS, CallResult.TLS)
    assert found.detail.startswith("the BBS's certificate: ")


async def test_certificates_are_read_again_when_they_change(
    pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As Kubernetes replaces a mounted Secret: by a link to another folder. What cannot be used is said once."""
    caplog.set_level(logging.INFO)
    good, bad, mounted = tmp_path / "good", tmp_path / "bad", tmp_path / "data"
    for folder in (good, bad):
        folder.mkdir()
        for source, name in zip((pki.authority.certificate, *pki.client), ("ca", "cert", "key"), strict=True):
            shutil.copy(source, folder / name)
    (bad / "cert").write_text("no certificate")

    def mount(folder: Path) -> None:
        (tmp_path / "new").symlink_to(folder)
        (tmp_path / "new").replace(mounted)

    def said() -> list[str]:
        return [record.message for record in caplog.records if "certificates" in record.message]

    mount(good)
    caller = pki.caller(**{name: str(mounted / name) for name in ("ca", "cert", "key")})
    async with accepting(partial(BbsApi(pki.server_context()).serve, mute=False)) as port:
        ask = partial(caller, "127.0.0.1", port, path=DOMAINS, timeout=LONG)
        assert outcome(await ask()) == (ProbeResult.SUCCESS, CallResult.ANSWERED)

        mount(bad)
        assert [outcome(await ask()) for _ in range(3)] == [(ProbeResult.SUCCESS, None)] * 3
        assert said() == ["BBS is not called, its certificates cannot be used"]
        assert "is not a certificate in PEM format" in vars(caplog.records[-1])["problem"]

        (bad / "cert").unlink()
        assert outcome(await ask()) == (ProbeResult.SUCCESS, None)
        assert "cannot be read" in vars(caplog.records[-1])["problem"]

        mount(good)
        assert outcome(await ask()) == (ProbeResult.SUCCESS, CallResult.ANSWERED)
        assert said()[-1] == "certificates for the BBS reloaded"
