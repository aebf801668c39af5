"""The view from the Cloud Controller: which pods are asked, and what their answers prove together."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter.config.model import Foundation
from exporter.foundation.view import FoundationView, Probe, ProbeResult
from exporter.kubernetes.api import ApiError, ApiUnreachableError
from exporter.kubernetes.objects import Pod
from tests.support.clocks import LoopClock
from tests.support.foundations import Dials, foundation
from tests.support.inprocess import InProcessWriter, Shelf
from tests.support.views import API, a_pod, component, view, without
from webhook.metrics import Counters, RunMetrics
from webhook.runbook.cloud_controller import (
    CONNECT_TIMEOUT,
    Attempt,
    CloudController,
    Reachability,
    bash,
    container_of,
    nc,
    to_ask,
)
from webhook.runbook.context import RunContext
from webhook.timings import DEFAULT
from webhook.writer import ExecResult

CF = foundation()
HOST = "diego-api.cf.svc.cluster.local"
REFUSED = ExecResult(1, f"nc: connect to {HOST} (10.96.0.89) port 8889 (tcp) failed: Connection refused\n")
SUCCEEDED = ExecResult(0, f"Connection to {HOST} (10.96.0.89) 8889 port [tcp/*] succeeded!\n")
NO_NAME = ExecResult(1, f'nc: getaddrinfo for host "{HOST}" port 8889: Name or service not known\n')
NC_MISSING = ExecResult(127, "env: 'nc': No such file or directory\n")
SERVICE_EMPTY = view()
SERVICE_READY = view(ready_endpoints=("10.0.0.1",))


# ---- who is asked


def test_the_fully_ready_pods_are_asked_api_0_first_and_three_at_most() -> None:
    pods = [a_pod("api", number) for number in range(5)]

    assert [pod.name for pod in to_ask(pods)] == ["api-0", "api-1", "api-2"]
    pods[0] = a_pod("api", 0, ready=1)
    pods[2] = a_pod("api", 2, terminating=True)
    assert [pod.name for pod in to_ask(pods)] == ["api-1", "api-3", "api-4"]
    assert to_ask([a_pod("api", 0, phase="Pending")]) == ()


@pytest.mark.parametrize(
    ("configured", "pod", "expected"),
    [
        (None, a_pod("api", 0, containers=["sidecar", "api"]), "api"),
        (None, a_pod("api", 0, containers=["first", "second"]), "first"),
        (
            None,
            a_pod(
                "api",
                0,
                containers=["api", "cc"],
                annotations={"kubectl.kubernetes.io/default-container": "cc"},
            ),
            "cc",
        ),
        (
            None,
            a_pod("api", 0, containers=["x", "api"], annotations={"kubectl.kubernetes.io/default-container": "gone"}),
            "api",
        ),
        (
            "nginx",
            a_pod(
                "api", 0, containers=["api", "nginx"], annotations={"kubectl.kubernetes.io/default-container": "api"}
            ),
            "nginx",
        ),
    ],
)
def test_the_container_to_ask_in(configured: str | None, pod: Pod, expected: str) -> None:
    settings = foundation(cloud_controller={"container": configured})

    assert container_of(pod, settings, "api") == expected


# ---- what the answers prove


class Pods(InProcessWriter):
    """Pods that answer as a test wants them to."""

    def __init__(self, answer: Callable[[str, tuple[str, ...]], ExecResult]) -> None:
        super().__init__(Shelf(clock=LoopClock()))
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []
        self._result = answer

    async def exec(self, pod: str, container: str, argv: Sequence[str], *, timeout: float) -> ExecResult:
        assert timeout > 0
        await asyncio.sleep(0.01)
        self.asked.append((pod, container, tuple(argv)))
        return self._result(pod, tuple(argv))


class Asked:
    """A Cloud Controller whose pods answer as a test wants them to."""

    def __init__(self, settings: Foundation = CF, **answers: ExecResult | Exception) -> None:
        self.writer = Pods(self._answer)
        self.answers = answers
        self.probes: list[tuple[ProbeResult, bool | None]] = []
        self.controller = CloudController(
            RunContext(
                foundation=settings,
                kubernetes=self.writer,
                clock=LoopClock(),
                random=Random(0),
                dial=Dials(),
                meter=RunMetrics(Counters(CollectorRegistry()), settings.name),
                on_probe=self._observe,
            )
        )

    def _answer(self, pod: str, argv: tuple[str, ...]) -> ExecResult:
        key = "bash" if "bash" in argv else pod.replace("-", "_")
        answer = self.answers.get(key, REFUSED)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _observe(self, probe: Probe, reachable: bool | None) -> None:
        self.probes.append((probe.result, reachable))

    async def __call__(self, seen: FoundationView = SERVICE_READY) -> Attempt:
        return await self.controller.attempt(seen)


async def test_every_ready_pod_is_asked_in_its_container() -> None:
    asked = Asked()

    await asked()

    assert asked.writer.asked == [("api-0", "api", nc(HOST, 8889)), ("api-1", "api", nc(HOST, 8889))]


async def test_several_statefulsets_are_asked_together_three_pods_at_most() -> None:
    asked = Asked(foundation(cloud_controller={"statefulset": ("api", "api-b")}))

    await asked(view(component("api-b", a_pod("api-b", 0), a_pod("api-b", 1))))

    assert [(pod, container) for pod, container, _ in asked.writer.asked] == [
        ("api-0", "api"),
        ("api-1", "api"),
        ("api-b-0", "api-b"),
    ]


@pytest.mark.parametrize(
    ("answers", "reachability", "reason"),
    [
        ({}, Reachability.UNREACHABLE, None),
        ({"api_0": SUCCEEDED, "api_1": SUCCEEDED}, Reachability.REACHABLE, None),
        ({"api_1": SUCCEEDED}, Reachability.UNKNOWN, "pods-disagree"),
        ({"api_1": ExecResult(1, "junk")}, Reachability.UNKNOWN, "exec-failed"),
        ({"api_0": SUCCEEDED, "api_1": ExecResult(None, "", "cut")}, Reachability.UNKNOWN, "exec-failed"),
        ({"api_0": ApiError(403, "Forbidden", "pods/exec")}, Reachability.UNKNOWN, "exec-failed"),
        ({"api_0": ApiUnreachableError("timed out")}, Reachability.UNKNOWN, "exec-failed"),
        ({"api_1": NO_NAME}, Reachability.UNKNOWN, "name-unknown"),
    ],
)
async def test_unanimous_or_unknown(answers: dict[str, Any], reachability: Reachability, reason: str | None) -> None:
    attempt = await Asked(**answers)()

    assert (attempt.reachability, attempt.reason) == (reachability, reason)


async def test_where_nobody_can_be_asked_nothing_is_proved() -> None:
    attempt = await Asked()(without(SERVICE_READY, "api"))

    assert (attempt.reachability, attempt.reason, str(attempt)) == (Reachability.UNKNOWN, "cloud-controller-down", "")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (SERVICE_EMPTY, Reachability.UNREACHABLE),
        (SERVICE_READY, Reachability.UNKNOWN),
    ],
)
async def test_a_missing_name_proves_only_where_the_service_has_no_endpoint(
    seen: FoundationView, expected: Reachability
) -> None:
    """A headless Service without a ready endpoint has no DNS record (KubeCF)."""
    asked = Asked(api_0=NO_NAME, api_1=NO_NAME)

    assert (await asked(seen)).reachability is expected
    assert asked.probes[0] == (ProbeResult.DNS, False if expected is Reachability.UNREACHABLE else None)


@pytest.mark.parametrize(
    ("by_bash", "reachability", "reason"),
    [
        (ExecResult(0), Reachability.REACHABLE, None),
        (ExecResult(1, "probe: connect: Connection refused"), Reachability.UNKNOWN, "nc-missing"),
        (ExecResult(124), Reachability.UNKNOWN, "nc-missing"),
        (ExecResult(127, "env: 'bash': No such file or directory"), Reachability.UNKNOWN, "nc-missing"),
        (ExecResult(None, "", "cut"), Reachability.UNKNOWN, "nc-missing"),
    ],
)
async def test_where_nc_is_missing_bash_can_show_that_it_is_reachable_and_no_more(
    by_bash: ExecResult, reachability: Reachability, reason: str | None
) -> None:
    asked = Asked(api_0=NC_MISSING, api_1=NC_MISSING, bash=by_bash)

    attempt = await asked()

    assert (attempt.reachability, attempt.reason) == (reachability, reason)
    assert [argv for _, _, argv in asked.writer.asked] == [nc(HOST, 8889)] * 2 + [bash(HOST, 8889)] * 2


async def test_bash_is_not_asked_where_nc_is_there() -> None:
    asked = Asked(api_0=ExecResult(126, "env: 'nc': Permission denied"))

    assert (await asked()).reachability is Reachability.UNKNOWN
    assert {argv for _, _, argv in asked.writer.asked} == {nc(HOST, 8889)}


async def test_each_answer_is_observed_and_told_with_its_words() -> None:
    asked = Asked(api_1=ExecResult(1, "junk"))

    attempt = await asked()

    assert asked.probes == [(ProbeResult.REFUSED, False), (ProbeResult.ERROR, None)]
    assert str(attempt) == f"api-0: {REFUSED.stderr.strip()}; api-1: exit code 1: junk"


def test_the_deadline_of_an_exec_is_longer_than_what_it_runs() -> None:
    """nc gives up after 5 s, once for each address; name resolution comes on top."""
    assert DEFAULT.exec >= 2 * CONNECT_TIMEOUT + 5
    assert len(API.pods) == 2
