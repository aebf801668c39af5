"""The status page as HTML: what others wrote is text and never markup, and the policy lets nothing else run."""

import base64
import hashlib
import re
from pathlib import Path

import msgspec
import pytest

from tests.support.journals import listed, open_run
from tests.support.moments import NOON, at
from tests.support.sites import basic
from tests.support.statuses import Desk, seen
from webhook.http.rendering import render, without_ages
from webhook.record.journal import Approval, Journal, Note, Outcome, Pause, PersonRecord, Step, StepRecord, StepResult

ANN = basic("ann", "pw")
EVIL = "<script>alert(1)</script>`</code><img src=x onerror=alert(1)>"
STEP = StepRecord(name=Step.CONFIRM_UNREACHABLE, started=NOON, ended=at(1), result=StepResult.OK, detail=EVIL)
RUN = open_run(
    steps=(STEP,), requested_by=EVIL, executor=EVIL, evidence=EVIL, detail=EVIL, reason=f"exec-failed {EVIL}",
    outcome=Outcome.UNPROVEN, ended=at(2), approval=Approval(requested=NOON, by=EVIL, at=NOON),
    pods=tuple(msgspec.structs.replace(pod, name=EVIL) for pod in listed()),
)  # fmt: skip
EVERYTHING = Journal(
    foundation="cf",
    paused=Pause(by=EVIL, at=NOON, reason=EVIL),
    notes=(Note(at=NOON, text=EVIL),),
    runs=(RUN, open_run(id="cf-2", steps=(STEP,), requested_by=EVIL, person=PersonRecord(by=EVIL, at=NOON))),
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "web.yaml")


async def get(desk: Desk, path: str = "/") -> tuple[str, dict[str, str]]:
    async with desk.session.get(path, headers=ANN) as response:
        assert response.status == 200
        return await response.text(), dict(response.headers)


@pytest.mark.parametrize("path", ["/", "/runs/cf-1", "/runs/cf-2", "/foundations/cf/resume"])
async def test_what_others_wrote_is_text(desk: Desk, path: str) -> None:
    desk.observer.error = OSError(EVIL)
    desk.medic.waits_for = EVIL
    async with desk.open(EVERYTHING):
        text, _ = await get(desk, path)
        assert text.count("<script>") == 1
        assert "<img" not in text
        assert "alert(1)" in text or path.endswith("resume")
        assert " onerror=alert" not in text.replace("&lt;img src=x onerror=alert(1)&gt;", "")


async def test_the_policy_allows_the_page_alone(desk: Desk) -> None:
    async with desk.open():
        text, headers = await get(desk)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        for part in ("base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'", "connect-src 'self'"):
            assert part in policy
        assert "unsafe" not in policy
        for kind in ("script", "style"):
            (found,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy
        assert headers["Cache-Control"] == "no-store"
        assert not re.search(r'\sstyle="|\son[a-z]+="', text)
        assert re.findall(r'(?:src|href)="(?!data:|#)(?:https?:)?//', text) == []


async def test_the_page_works_without_a_script(desk: Desk) -> None:
    """All that the script adds is news."""
    async with desk.open(Journal(foundation="cf", runs=(open_run(approval=Approval(requested=NOON)),))):
        text, _ = await get(desk)
        for expected in ("waits for approval", "<noscript>", 'href="runs/cf-1/approve"', "1 min ago", "12:00:00Z"):
            assert expected in text
        for zoom in ("1h", "1d", "3d", "other"):
            assert "Time line" in (await get(desk, f"/?zoom={zoom}"))[0]


async def test_each_foundation_has_its_evidence(desk: Desk) -> None:
    desk.observer.view = seen(reachable=False)
    async with desk.open(EVERYTHING):
        text, _ = await get(desk)
        for expected in ("diego-api-0", "does not accept", "not active", "Service", "ready endpoints: none"):
            assert expected in text
        assert 'aria-current="step"' not in text


def test_text_in_backticks_is_code_unless_one_is_odd() -> None:
    message = {"what": "too-late", "root": "", "events": "", "action": {"verb": "pause", "target": "cf"}}
    assert "a &lt;b&gt; `c. Nothing" in render("message.html", detail="a <b> `c", **message).replace("A &lt;", "a &lt;")


def test_an_age_is_no_change() -> None:
    one, two = '<span class="ago" data-at="1">3 s ago</span>', '<span class="ago" data-at="1">4 s ago</span>'
    assert without_ages(one) == without_ages(two)
    assert without_ages(one) != without_ages(one.replace('"1"', '"2"'))
