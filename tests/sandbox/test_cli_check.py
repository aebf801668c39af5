"""`diego-runbook check`: what a tired operator reads, and the exit code that a script reads."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from sandbox.sandbox import Sandbox
from tests.support import audit
from tests.support.incidents import boxed, break_it, config, diego_api, fire, patch, settled, uids
from tests.support.programs import runbook, serving, until

HEALTHY, UNREACHABLE, UNKNOWN, DEGRADED = 0, 1, 3, 4


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What is wrong with the foundation (on top of the incident, with `wedged`), and what `check` says of it."""

    fault: Callable[[Sandbox], object] = lambda _box: None
    until: Callable[[Sandbox], Awaitable[None]] = lambda _box: asyncio.sleep(0)
    code: int
    says: tuple[str, ...]
    wedged: bool = False
    silent: tuple[str, ...] = ()
    foundation: dict[str, Any] = field(default_factory=dict)


def deny(verb: str, resource: str, name: str = "") -> Callable[[Sandbox], None]:
    return lambda box: box.deny(verb, resource, name=name)


def passive(box: Sandbox) -> str:
    """The diego-api pod that does not lead."""
    (name,) = [pod["name"] for pod in diego_api(box) if not pod["serving"]]
    return str(name)


SIGHTS = {
    "healthy": Sight(
        code=HEALTHY,
        says=("the Cloud Controller reaches the BBS", "succeeded!", "accepts on port 8889", "=> nothing to do"),
        silent=("finding", "missing permission"),
    ),
    "the incident": Sight(
        wedged=True,
        code=UNREACHABLE,
        says=(
            "the Cloud Controller can NOT reach the BBS",
            "asked in api-0 (2 times)",
            "Connection refused",
            "finding no-active-leader: no diego-api pod is labelled skiff-role-active=true",
            "finding nobody-serves",
            "finding no-endpoint: Service diego-api has no ready endpoint",
            "=> the runbook would delete diego-api-0, diego-api-1",
            "diego-runbook run cf",
        ),
        silent=("missing permission",),
    ),
    "labels that lie": Sight(
        wedged=True,
        fault=lambda box: box.fault("label-all"),
        code=UNREACHABLE,
        says=(
            "finding multiple-active-leaders: diego-api-0, diego-api-1 are all labelled",
            "finding label-stale: diego-api-0, diego-api-1",
            "=> the runbook would delete",
        ),
    ),
    "a BBS without its label": Sight(
        fault=lambda box: box.fault("label-none"),
        code=UNREACHABLE,
        says=("finding serving-unlabelled: diego-api-", "=> the runbook would refuse (bbs-serving)"),
    ),
    "a split brain": Sight(
        fault=lambda box: box.fault("split-brain"),
        code=DEGRADED,
        says=("finding split-brain: diego-api-0, diego-api-1", "more than one BBS serves, and a person must decide"),
    ),
    "a passive pod that is not ready": Sight(
        fault=lambda box: box.fault("never-ready", passive(box)),
        until=lambda box: settled(box, lambda pods: "1/2" in [pod["ready"] for pod in pods]),
        code=DEGRADED,
        says=(
            "the Cloud Controller reaches the BBS",
            "finding diego-api-not-ready: not fully ready: diego-api-",
            "=> the runbook would not restart anything: the BBS is reachable",
        ),
    ),
    "no pod is ready": Sight(
        fault=lambda box: box.fault("unhealthy"),
        until=lambda box: settled(box, lambda pods: [pod["ready"] for pod in pods] == ["1/2", "1/2"]),
        code=UNREACHABLE,
        says=("finding diego-api-not-ready: not fully ready: diego-api-0 1/2 Running",),
    ),
    "no nc": Sight(
        wedged=True,
        fault=lambda box: box.fault("no-nc"),
        code=UNKNOWN,
        says=(
            "whether the Cloud Controller reaches the BBS is UNKNOWN",
            "nc is missing, and bash did not connect",
            "=> the runbook would do nothing: unknown is no reason to delete a pod (nc-missing)",
        ),
    ),
    "exec is forbidden": Sight(
        wedged=True,
        fault=deny("get", "pods/exec"),
        code=UNKNOWN,
        says=("403", "missing permission", "get pods/exec api-0; get pods/exec api-1", "(exec-failed)"),
    ),
    "deletes are forbidden": Sight(
        fault=deny("delete", "pods", "diego-api-1"),
        code=DEGRADED,
        says=("missing permission", "delete pods diego-api-1"),
        silent=("diego-api-0;",),
    ),
    "no api pod": Sight(
        fault=lambda box: patch(box, "api", {"spec": {"replicas": 0}}),
        until=lambda box: no_api_pods(box),  # noqa: PLW0108 - it stands below
        code=UNKNOWN,
        says=("no api pod is fully ready, so the BBS cannot be checked from inside", "no api pod"),
    ),
    "pods that disagree": Sight(
        fault=lambda box: box.fault("blind", "api-1"), code=UNKNOWN, says=("timed out", "succeeded!", "(pods-disagree)")
    ),
    "the API server is away": Sight(
        fault=lambda box: box.fault("api-kill"),
        code=UNKNOWN,
        says=(
            "trouble",
            "foundation not readable",
            "=> the runbook would do nothing",
            "(no api pod could be asked)",
        ),
    ),
    "the token is not known": Sight(fault=lambda box: box.access.users.clear(), code=UNKNOWN, says=("trouble", "401")),
    "another name": Sight(
        code=UNKNOWN,
        foundation={"cloud_controller": {"statefulset": "api-group"}},
        says=("finding no-statefulset: there is no StatefulSet api-group in namespace cf",),
    ),
}


@pytest.mark.parametrize("sight", SIGHTS.values(), ids=SIGHTS.keys())
async def test_what_it_sees(sight: Sight) -> None:
    async with boxed() as box:
        before = uids(box)
        if sight.wedged:
            await break_it(box)
        sight.fault(box)
        await sight.until(box)

        checked = await runbook(box.write_config(config(box, **sight.foundation)), "check", "cf")

        assert checked.code == sight.code, checked
        for words in sight.says:
            assert words in checked.output, (words, checked)
        for words in sight.silent:
            assert words not in checked.output, (words, checked)
        assert len(checked.lines) <= 20
        assert max(map(len, checked.lines)) < 250
        assert uids(box) == before
        assert {each for each in audit.requests(box.audit) if "pods/exec" not in each} == set()


async def no_api_pods(box: Sandbox) -> None:
    async def gone() -> bool:
        return not [pod for pod in box.state()["pods"] if pod["name"].startswith("api-")]

    await until(gone, what="the api pods to go")


async def test_what_is_on_record() -> None:
    """A pause, an open breaker and the last run are part of the picture."""
    remediation = {"breaker": {"runs": 1, "window": "1h"}}
    async with boxed() as box:
        path = box.write_config(config(box, remediation=remediation))
        assert "mode auto, no run yet" in (await runbook(path, "check", "cf")).output
        async with serving(path) as webhook:
            await break_it(box)
            await fire(webhook)
            run = await webhook.ended()
        await runbook(path, "pause", "cf", "--reason", "we look ourselves")
        checked = await runbook(path, "check", "cf")
        assert checked.code == HEALTHY
        (line,) = [each for each in checked.lines if each.strip().startswith("remediation")]
        assert "PAUSED by " in line
        assert ": we look ourselves" in line
        assert "BREAKER OPEN since " in line
        assert f"last run {run['id']}: recovered" in line


async def test_a_mode_is_not_needed_to_look() -> None:
    async with boxed() as box:
        document = config(box)
        del document["remediation"]["mode"]
        checked = await runbook(box.write_config(document), "check", "cf")
        assert checked.code == HEALTHY
        assert "mode not set" in checked.output


async def test_all_foundations_at_once_exit_with_the_worst() -> None:
    """And one of which nothing can be read hides nothing of the other."""
    async with boxed() as box:
        document = config(box)
        document["foundations"].append(document["foundations"][0] | {"name": "nowhere", "namespace": "nowhere"})
        path = box.write_config(document)

        told = await runbook(path, "check")
        assert told.code == 3
        assert told.lines[-2:] == ["cf       healthy", "nowhere  unknown"]

        as_yaml = await runbook(path, "check", "-o", "yaml")
        assert as_yaml.code == 3
        found = {each["foundation"]: each for each in yaml.safe_load(as_yaml.output)["foundations"]}
        assert (found["cf"]["reachable"], found["cf"]["exit_code"]) == (True, 0)
        assert (found["nowhere"]["reachable"], found["nowhere"]["exit_code"]) == (None, 3)

        assert (await runbook(path, "check", "cf")).code == 0
