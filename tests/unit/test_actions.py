"""Pause, resume, reset and approve on the status page: nothing is changed but by the confirmed form of a person."""

import re
from pathlib import Path

import pytest
from aiohttp import FormData

from exporter.kubernetes.api import ApiUnreachableError
from tests.support.inprocess import JOURNAL
from tests.support.journals import open_run
from tests.support.moments import NOON, at
from tests.support.sites import basic
from tests.support.statuses import Desk
from webhook.record.errors import JournalLostError
from webhook.record.journal import Approval, Journal, Outcome, Pause

ANN, BOB, ALERTMANAGER = basic("ann", "pw"), basic("bob", "pw"), {"Authorization": "Bearer token"}
OURS = {"Sec-Fetch-Site": "same-origin"}
PAUSE, RESUME, RESET, APPROVE = (
    *(f"/foundations/cf/{verb}" for verb in ("pause", "resume", "reset")),
    "/runs/cf-1/approve",
)
WAITING = open_run(approval=Approval(requested=NOON))
PAUSED = Journal(foundation="cf", paused=Pause(by="bob", at=NOON, reason="r"))
OPEN = Journal(foundation="cf", breaker_opened=NOON)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "web.yaml")


async def page(desk: Desk, path: str, **headers: str) -> tuple[int, str]:
    async with desk.session.get(path, headers=ANN | headers) as response:
        return response.status, await response.text()


async def token_of(desk: Desk, path: str, person: dict[str, str] = ANN) -> str:
    _, text = await page(desk, path, **person)
    found = re.search(r'name="token" value="([^"]+)"', text)
    assert found is not None
    return found[1]


async def send(
    desk: Desk,
    path: str,
    *,
    token: str | None,
    reason: str = "",
    person: dict[str, str] = ANN,
    headers: dict[str, str] = OURS,
) -> tuple[int, str]:
    """Posts the form, without its token where that is None; the status, and where it leads, or what it says."""
    form = FormData({"reason": reason} | ({} if token is None else {"token": token}))
    async with desk.session.post(path, data=form, headers=person | headers, allow_redirects=False) as response:
        return response.status, response.headers.get("Location") or await response.text()


async def test_a_person_pauses_with_a_reason_and_it_is_on_record(desk: Desk) -> None:
    async with desk.open():
        token = await token_of(desk, PAUSE)
        assert await send(desk, PAUSE, token=token, reason="  new\ndisks ") == (303, "../../")
        paused = (await desk.store.refresh()).paused
        assert paused is not None
        assert (paused.by, paused.reason) == ("ann (status page)", "new disks")
        assert "paused by ann (status page)" in (await page(desk, "/"))[1]


async def test_without_a_reason_it_asks_again(desk: Desk) -> None:
    async with desk.open():
        token = await token_of(desk, PAUSE)
        status, text = await send(desk, PAUSE, token=token, reason=" ")
        assert (status, "A pause needs a reason" in text) == (400, True)
        assert (await desk.store.refresh()).paused is None


@pytest.mark.parametrize(
    ("path", "before", "leads", "noted"),
    [
        (RESUME, PAUSED, "../../", "resumed by ann (status page)"),
        (RESET, OPEN, "../../", "breaker reset by ann (status page)"),
        (APPROVE, Journal(foundation="cf", runs=(WAITING,)), "../cf-1", "run cf-1 approved by ann (status page)"),
    ],
)
async def test_the_other_actions(desk: Desk, path: str, before: Journal, leads: str, noted: str) -> None:
    async with desk.open(before):
        assert await send(desk, path, token=await token_of(desk, path)) == (303, leads)
        after = await desk.store.refresh()
        assert after.notes[-1].text == noted
        assert after.paused is None
        assert after.breaker_opened is None


async def unchanged(desk: Desk, before: Journal) -> None:
    assert await desk.store.refresh() == before


@pytest.mark.parametrize(
    ("path", "before"),
    [(RESUME, PAUSED), (RESET, OPEN), (APPROVE, Journal(foundation="cf", runs=(WAITING,)))],
)
async def test_to_ask_changes_nothing_and_neither_does_a_forged_form(desk: Desk, path: str, before: Journal) -> None:
    async with desk.open(before):
        token, bobs = await token_of(desk, path), await token_of(desk, path, BOB)
        other = await token_of(desk, PAUSE)
        for wrong in (None, "", "x" * 70, bobs, other):
            status, text = await send(desk, path, token=wrong)
            assert (status, "Nothing was changed" in text) == (403, True), wrong
        for elsewhere in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            assert (await send(desk, path, headers=elsewhere, token=token))[0] == 403, elsewhere
        desk.clock.time += 3601
        assert (await send(desk, path, token=token))[0] == 403
        await unchanged(desk, before)
        desk.clock.time -= 3601
        assert (await send(desk, path, token=token))[0] == 303  # the control


async def test_who_is_not_known_may_read_but_does_nothing(desk: Desk) -> None:
    """Alertmanager's token reads; it approves nothing. Nobody at all does not even read."""
    async with desk.open(PAUSED):
        for path in (PAUSE, RESUME, RESET):
            status, text = await page(desk, path, **ALERTMANAGER)
            assert (status, "diego-runbook" in text) == (403, True)
            token = await token_of(desk, path)
            assert (await send(desk, path, person=ALERTMANAGER, token=token))[0] == 403
            assert (await send(desk, path, person=basic("ann", "wrong"), token=token))[0] == 401
            assert (await send(desk, path, person={}, token=token))[0] == 401
        await unchanged(desk, PAUSED)
        status, text = await page(desk, "/", **ALERTMANAGER)
        assert (status, "Resume…" in text) == (200, False)
        assert "Resume…" in (await page(desk, "/"))[1]


async def test_a_form_of_another_kind_or_without_end_is_refused(desk: Desk) -> None:
    async with desk.open(PAUSED):
        token = await token_of(desk, RESUME)
        async with desk.session.post(RESUME, json={"token": token}, headers=ANN | OURS) as response:
            assert response.status == 415
        headers = ANN | OURS | {"Content-Type": "application/x-www-form-urlencoded"}
        for body in (b"\xff=1", b"&".join([b"a=1"] * 50), f"token={token}&x=\ud800".encode(errors="surrogatepass")):
            async with desk.session.post(RESUME, data=body, headers=headers) as response:
                assert response.status == 403
        await unchanged(desk, PAUSED)


async def test_what_does_not_exist_is_not_found(desk: Desk) -> None:
    async with desk.open():
        for path in ("/foundations/other/pause", "/foundations/cf/delete", "/runs/none/approve", "/runs/none"):
            assert (await page(desk, path))[0] == 404
            assert (await send(desk, path, token="x"))[0] in {404, 405}


async def test_a_run_that_waits_no_more_is_too_late(desk: Desk) -> None:
    async with desk.open(Journal(foundation="cf", runs=(WAITING,))):
        token = await token_of(desk, APPROVE)
        ended = open_run(outcome=Outcome.CANCELLED, ended=at(1))
        await desk.store.update(lambda _journal: (Journal(foundation="cf", runs=(ended,)), None))
        status, text = await send(desk, APPROVE, token=token)
        assert (status, "Run cf-1 is not in progress. Nothing was changed." in text) == (409, True)


async def test_what_cannot_be_recorded_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk.open(PAUSED):
        token = await token_of(desk, RESUME)

        async def fails(*_args: object, **_named: object) -> None:
            raise ApiUnreachableError("no <route> to host")

        monkeypatch.setattr(desk.store, "update", fails)
        status, text = await send(desk, RESUME, token=token)
        assert (status, "no &lt;route&gt; to host" in text) == (503, True)


async def test_a_lost_journal_is_reset(desk: Desk) -> None:
    async with desk.open(PAUSED):
        desk.shelf.write_config_map(JOURNAL, {"foundation": "cf", "journal.json": "junk"})
        desk.medic.unreadable = JournalLostError("it is <gone>")
        _, text = await page(desk, "/")
        assert "journal lost" in text
        assert "it is &lt;gone&gt;" in text
        assert await send(desk, RESET, token=await token_of(desk, RESET)) == (303, "../../")
        assert "breaker reset by ann (status page)" in (await desk.store.refresh()).notes[-1].text
