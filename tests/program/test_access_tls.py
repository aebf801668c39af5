"""TLS and client certificates of the web config at work: real handshakes, and files that change under them."""

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from tests.support.certificates import Authority
from tests.support.sites import MUTUAL, TLS, Seconds, Site, basic, serving, trusting, users


async def test_tls_is_spoken_to_those_who_trust_the_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    async with serving(tmp_path, TLS) as site:
        assert site.url.startswith("https:")
        assert await site.status(ssl=trusting(authority)) == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await site.status(ssl=trusting(Authority(tmp_path, "stranger")))


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    """Certificates live for hours where a machine renews them."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    old.issue("server")
    async with serving(tmp_path, TLS) as site:
        assert await site.status(ssl=trusting(old)) == 200
        new.issue("server")
        assert await site.status(ssl=trusting(new)) == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await site.status(ssl=trusting(old))


async def test_half_a_renewal_keeps_the_old_certificate(tmp_path: Path) -> None:
    """Certificate and key are two files, and between the two writes they don't belong together."""
    seconds = Seconds()
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    served = certificate.read_bytes()
    async with serving(tmp_path, TLS, monotonic=seconds) as site:
        new_certificate, new_key = authority.issue("other")
        new_certificate.replace(certificate)
        assert await site.status(ssl=trusting(authority)) == 200
        assert certificate.read_bytes() != served
        assert await peer_certificate(site) == ssl.PEM_cert_to_DER_cert(served.decode())
        new_key.replace(key)
        seconds.now += 5
        assert await peer_certificate(site) == ssl.PEM_cert_to_DER_cert(certificate.read_text())


async def test_a_file_that_the_change_names_is_found_when_it_comes_later(tmp_path: Path) -> None:
    """Nothing that was in force changes then, so it is looked for again after a while."""
    seconds = Seconds()
    authority = Authority(tmp_path)
    old, _ = authority.issue("server")
    async with serving(tmp_path, TLS, monotonic=seconds) as site:
        site.file.write_text(TLS.replace("server.", "later."))
        assert await peer_certificate(site) == ssl.PEM_cert_to_DER_cert(old.read_text())
        later, _ = authority.issue("later")
        seconds.now += 5
        assert await peer_certificate(site) == ssl.PEM_cert_to_DER_cert(later.read_text())


async def peer_certificate(site: Site) -> bytes | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    port = int(site.url.rpartition(":")[2])
    _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, ssl=context), 10)
    try:
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return found
    finally:
        writer.close()
        await writer.wait_closed()


async def test_client_certificates_are_verified(tmp_path: Path) -> None:
    """One of ours comes in; none, and one of another authority, don't even get to speak HTTP."""
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    authority.issue("server")
    async with serving(tmp_path, MUTUAL) as site:
        assert site.access.authenticates
        assert await site.status(ssl=trusting(authority, *authority.issue("prometheus"))) == 200
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority))
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority, *stranger.issue("mallory")))


async def test_who_has_shown_a_certificate_is_known_by_its_name(tmp_path: Path) -> None:
    """And a user's password, where there is one, names the person."""
    authority = Authority(tmp_path)
    authority.issue("server")
    ann = trusting(authority, *authority.issue("ann"))
    async with serving(tmp_path, MUTUAL) as site:
        assert await (await site.get("/who", ssl=ann)).text() == "ann"
        assert len(site.access.secret()) == 32
        site.file.write_text(MUTUAL + users(bob="swordfish"))
        assert await (await site.get("/who", ssl=ann, headers=basic("bob", "swordfish"))).text() == "bob"
    async with serving(tmp_path, TLS) as site:
        assert await (await site.get("/who", ssl=trusting(authority))).text() == ""


async def test_an_authority_that_was_replaced_is_trusted_no_more(tmp_path: Path) -> None:
    """A live context only ever learns authorities; a new one forgets."""
    authority, old, new = Authority(tmp_path), Authority(tmp_path, "old"), Authority(tmp_path, "new")
    authority.issue("server")
    mine, theirs = old.issue("mine"), new.issue("theirs")
    async with serving(tmp_path, MUTUAL.replace("authority.pem", "old.pem")) as site:
        assert await site.status(ssl=trusting(authority, *mine)) == 200
        site.file.write_text(MUTUAL.replace("authority.pem", "new.pem"))
        assert await site.status(ssl=trusting(authority, *theirs)) == 200
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority, *mine))


async def test_a_policy_that_was_added_holds_for_new_connections(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    async with serving(tmp_path, TLS) as site:
        assert await site.status(ssl=trusting(authority)) == 200
        site.file.write_text(MUTUAL)
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority))
        assert await site.status(ssl=trusting(authority, *authority.issue("prometheus"))) == 200


async def test_only_allowed_names_come_in(tmp_path: Path) -> None:
    """DNS names, addresses and URIs count alike."""
    authority = Authority(tmp_path)
    authority.issue("server")
    sans = MUTUAL + "  client_allowed_sans: [prometheus, 'spiffe://test/thanos']\n"
    async with serving(tmp_path, sans) as site:
        assert await site.status(ssl=trusting(authority, *authority.issue("prometheus"))) == 200
        assert await site.status(ssl=trusting(authority, *authority.issue("thanos"))) == 200
        assert await site.status(ssl=trusting(authority, *authority.issue("grafana"))) == 403


async def test_a_certificate_may_be_left_out_where_it_is_verified_if_given(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    authority.issue("server")
    optional = MUTUAL.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
    async with serving(tmp_path, optional) as site:
        assert not site.access.authenticates
        assert await site.status(ssl=trusting(authority)) == 200
        assert await site.status(ssl=trusting(authority, *authority.issue("prometheus"))) == 200
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority, *stranger.issue("mallory")))


async def test_certificates_and_users_are_both_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    async with serving(tmp_path, MUTUAL + users(alice="swordfish")) as site:
        client = trusting(authority, *authority.issue("prometheus"))
        assert await site.status(ssl=client) == 401
        assert await site.status(ssl=client, headers=basic("alice", "swordfish")) == 200
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority), headers=basic("alice", "swordfish"))


async def test_old_clients_are_refused_where_the_file_says_so(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    old = trusting(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(tmp_path, TLS) as site:
        assert await site.status(ssl=old) == 200
        site.file.write_text(TLS + "  min_version: TLS13\n")
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=old)
        assert await site.status(ssl=trusting(authority)) == 200


async def test_tls_is_not_switched_off_in_mid_flight(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The socket speaks TLS already: the change waits for a restart, and the log says so."""
    authority = Authority(tmp_path)
    authority.issue("server")
    async with serving(tmp_path, TLS) as site:
        site.file.write_text(users(alice="swordfish"))
        assert await site.status(ssl=trusting(authority)) == 200
        assert "without a restart" in vars(caplog.records[-1])["problem"]


async def test_a_connection_from_before_the_policy_has_to_show_a_certificate_too(tmp_path: Path) -> None:
    """The handshake did not ask for one, so the connection has shown nothing; it is closed, and health stays open."""
    authority = Authority(tmp_path)
    authority.issue("server")
    async with serving(tmp_path, TLS, keep_alive=True) as site:
        context = trusting(authority)
        assert await site.status(ssl=context) == 200
        site.file.write_text(MUTUAL)
        assert await site.status("/-/healthy", ssl=context) == 200
        refused = await site.get(ssl=context)
        assert (refused.status, refused.headers["Connection"]) == (403, "close")
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=context)  # the new connection's handshake


async def test_a_connection_with_a_certificate_stays_when_another_part_of_the_file_changes(tmp_path: Path) -> None:
    """The control."""
    authority = Authority(tmp_path)
    authority.issue("server")
    async with serving(tmp_path, MUTUAL, keep_alive=True) as site:
        context = trusting(authority, *authority.issue("prometheus"))
        assert await site.status(ssl=context) == 200
        site.file.write_text(MUTUAL + "  min_version: TLS13\n")
        kept = await site.get(ssl=context)
        assert (kept.status, kept.headers.get("Connection")) == (200, None)


async def test_a_certificate_counts_no_more_once_its_authority_was_replaced(tmp_path: Path) -> None:
    """503, which is sent again on a new connection, whose handshake then decides."""
    authority, old, new = Authority(tmp_path), Authority(tmp_path, "old"), Authority(tmp_path, "new")
    authority.issue("server")
    context = trusting(authority, *old.issue("mine"))
    new.issue("theirs")
    async with serving(tmp_path, MUTUAL.replace("authority.pem", "old.pem"), keep_alive=True) as site:
        assert await site.status(ssl=context) == 200
        site.file.write_text(MUTUAL.replace("authority.pem", "new.pem"))
        refused = await site.get(ssl=context)
        assert (refused.status, refused.headers["Connection"]) == (503, "close")
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=context)
