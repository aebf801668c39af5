"""The view from the Cloud Controller: what `nc` says, who is asked, and what the answers prove together."""

from typing import Any

import pytest

from exporter.config.model import Foundation
from exporter.foundation.view import FoundationView, Probe, ProbeResult
from exporter.kubernetes.api import ApiError, ApiUnreachableError
from exporter.kubernetes.objects import Pod
from tests.support.clocks import LoopClock
from tests.support.foundations import foundation
from tests.support.memory_writer import MemoryCluster, MemoryWriter
from tests.support.views import API, a_pod, component, view, without
from webhook.runbook.cloud_controller import (
    EXEC_TIMEOUT,
    MAX_WORDS,
    Attempt,
    CloudController,
    Verdict,
    bash,
    container_of,
    nc,
    read_nc,
    to_ask,
)
from webhook.writer import ExecResult

CF = foundation()
HOST = "diego-api.cf.svc.cluster.local"
REFUSED = ExecResult(1, f"nc: connect to {HOST} (10.96.0.89) port 8889 (tcp) failed: Connection refused\n")
SUCCEEDED = ExecResult(0, f"Connection to {HOST} (10.96.0.89) 8889 port [tcp/*] succeeded!\n")
NO_NAME = ExecResult(1, f'nc: getaddrinfo for host "{HOST}" port 8889: Name or service not known\n')
NC_MISSING = ExecResult(127, "env: 'nc': No such file or directory\n")
SERVICE_EMPTY = view()
SERVICE_READY = view(ready_endpoints=("10.0.0.1",))


# ---- what nc says


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SUCCEEDED, ProbeResult.SUCCESS),
        (ExecResult(0), ProbeResult.SUCCESS),
        (ExecResult(0, "Connection refused, then connected to the other address"), ProbeResult.SUCCESS),
        (REFUSED, ProbeResult.REFUSED),
        (ExecResult(1, "nc: connect to h port 8889 (tcp) failed: Connection timed out"), ProbeResult.TIMEOUT),
        (ExecResult(1, "nc: connect to h port 8889 (tcp) timed out: Operation now in progress"), ProbeResult.TIMEOUT),
        (ExecResult(1, "nc: connect to h port 8889 (tcp) failed: No route to host"), ProbeResult.UNREACHABLE),
        (ExecResult(1, "nc: connect to h port 8889 (tcp) failed: Network is unreachable"), ProbeResult.UNREACHABLE),
        (NO_NAME, ProbeResult.DNS),
        (
            ExecResult(1, 'nc: getaddrinfo for host "h" port 8889: No address associated with hostname'),
            ProbeResult.DNS,
        ),
        (
            ExecResult(
                1, "nc: connect to h (fd00::1) failed: Network is unreachable\nnc: … failed: Connection refused"
            ),
            ProbeResult.REFUSED,
        ),
    ],
)
def test_what_the_table_knows(answer: ExecResult, expected: ProbeResult) -> None:
    assert read_nc(answer)[0] is expected


@pytest.mark.parametrize(
    "answer",
    [
        ExecResult(1),
        ExecResult(1, "junk"),
        ExecResult(1, "\ufffd\x00\x1b[31m"),
        ExecResult(1, 'nc: getaddrinfo for host "h" port 8889: Temporary failure in name resolution'),
        ExecResult(1, 'nc: getaddrinfo for host "h" port 8889: Non-recoverable failure in name resolution'),
        ExecResult(1, "nc: connect to h port 8889 (tcp) failed: Permission denied"),
        ExecResult(1, "nc: connect to h port 8889 (tcp) failed: Operation now in progress"),
        ExecResult(2, "nc: connect to h port 8889 (tcp) failed: Connection refused"),
        ExecResult(124, "nc: connect to h port 8889 (tcp) failed: Connection timed out"),
        ExecResult(126, "env: 'nc': Permission denied"),
        ExecResult(137, ""),
        ExecResult(-1, "Connection refused"),
        ExecResult(None, "nc: connect to h port 8889 (tcp) failed: Connection refused", "cut off"),
        ExecResult(None, "", "no answer within 20 s"),
        NC_MISSING,
    ],
)
def test_what_is_not_in_the_table_is_unknown(answer: ExecResult) -> None:
    assert read_nc(answer)[0] is ProbeResult.ERROR


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ExecResult(1, "  two\n lines \n"), "exit code 1: two lines"),
        (ExecResult(1), "exit code 1"),
        (ExecResult(None, "", "no answer within 20 s"), "no exit code: no answer within 20 s"),
        (
            ExecResult(0, "Connection to h 8889 port [tcp/*] succeeded!\n"),
            "Connection to h 8889 port [tcp/*] succeeded!",
        ),
    ],
)
def test_it_keeps_the_words(answer: ExecResult, expected: str) -> None:
    assert read_nc(answer)[1] == expected


def test_what_a_pod_prints_is_cut_short() -> None:
    """It goes to the journal, which has a bound."""
    _, words = read_nc(ExecResult(1, "Connection refused " * 100_000))

    assert len(words) == MAX_WORDS


def test_the_documents_command_without_a_shell() -> None:
    assert nc("h", 8889) == ("env", "LC_ALL=C", "nc", "-zv", "-w", "5", "h", "8889")
    assert bash("h", 8889)[:6] == ("env", "LC_ALL=C", "timeout", "5", "bash", "-c")
    assert bash("$(reboot)", 1)[-2:] == ("$(reboot)", "1")
    assert "$(reboot)" not in bash("$(reboot)", 1)[6]


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


class Asked:
    """A Cloud Controller whose pods say what a test lets them say."""

    def __init__(self, settings: Foundation = CF, **answers: ExecResult | Exception) -> None:
        self.writer = MemoryWriter(MemoryCluster())
        self.answers = answers
        self.probes: list[tuple[ProbeResult, bool | None]] = []
        self.writer.answers = self._answer
        self.controller = CloudController(
            foundation=settings, writer=self.writer, clock=LoopClock(), observe=self._observe
        )

    def _answer(self, pod: str, _container: str, argv: tuple[str, ...]) -> ExecResult:
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
    ("answers", "verdict", "why"),
    [
        ({}, Verdict.UNREACHABLE, ""),
        ({"api_0": SUCCEEDED, "api_1": SUCCEEDED}, Verdict.REACHABLE, ""),
        ({"api_1": SUCCEEDED}, Verdict.UNKNOWN, "pods-disagree"),
        ({"api_1": ExecResult(1, "junk")}, Verdict.UNKNOWN, "exec-failed"),
        ({"api_0": SUCCEEDED, "api_1": ExecResult(None, "", "cut")}, Verdict.UNKNOWN, "exec-failed"),
        ({"api_0": ApiError(403, "Forbidden", "pods/exec")}, Verdict.UNKNOWN, "exec-failed"),
        ({"api_0": ApiUnreachableError("timed out")}, Verdict.UNKNOWN, "exec-failed"),
        ({"api_1": NO_NAME}, Verdict.UNKNOWN, "name-unknown"),
    ],
)
async def test_unanimous_or_unknown(answers: dict[str, Any], verdict: Verdict, why: str) -> None:
    attempt = await Asked(**answers)()

    assert (attempt.verdict, attempt.why) == (verdict, why)


async def test_where_nobody_can_be_asked_nothing_is_proved() -> None:
    attempt = await Asked()(without(SERVICE_READY, "api"))

    assert (attempt.verdict, attempt.why, str(attempt)) == (Verdict.UNKNOWN, "cloud-controller-down", "")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (SERVICE_EMPTY, Verdict.UNREACHABLE),
        (SERVICE_READY, Verdict.UNKNOWN),
    ],
)
async def test_a_missing_name_proves_only_where_the_service_has_no_endpoint(
    seen: FoundationView, expected: Verdict
) -> None:
    """A headless Service without a ready endpoint has no DNS record (KubeCF)."""
    asked = Asked(api_0=NO_NAME, api_1=NO_NAME)

    assert (await asked(seen)).verdict is expected
    assert asked.probes[0] == (ProbeResult.DNS, False if expected is Verdict.UNREACHABLE else None)


@pytest.mark.parametrize(
    ("by_bash", "verdict", "why"),
    [
        (ExecResult(0), Verdict.REACHABLE, ""),
        (ExecResult(1, "probe: connect: Connection refused"), Verdict.UNKNOWN, "nc-missing"),
        (ExecResult(124), Verdict.UNKNOWN, "nc-missing"),
        (ExecResult(127, "env: 'bash': No such file or directory"), Verdict.UNKNOWN, "nc-missing"),
        (ExecResult(None, "", "cut"), Verdict.UNKNOWN, "nc-missing"),
    ],
)
async def test_where_nc_is_missing_bash_can_show_that_it_is_reachable_and_no_more(
    by_bash: ExecResult, verdict: Verdict, why: str
) -> None:
    asked = Asked(api_0=NC_MISSING, api_1=NC_MISSING, bash=by_bash)

    attempt = await asked()

    assert (attempt.verdict, attempt.why) == (verdict, why)
    assert [argv for _, _, argv in asked.writer.asked] == [nc(HOST, 8889)] * 2 + [bash(HOST, 8889)] * 2


async def test_bash_is_not_asked_where_nc_is_there() -> None:
    asked = Asked(api_0=ExecResult(126, "env: 'nc': Permission denied"))

    assert (await asked()).verdict is Verdict.UNKNOWN
    assert {argv for _, _, argv in asked.writer.asked} == {nc(HOST, 8889)}


async def test_each_answer_is_observed_and_told_with_its_words() -> None:
    asked = Asked(api_1=ExecResult(1, "junk"))

    attempt = await asked()

    assert asked.probes == [(ProbeResult.REFUSED, False), (ProbeResult.ERROR, None)]
    assert str(attempt) == f"api-0: {REFUSED.stderr.strip()}; api-1: exit code 1: junk"


def test_the_deadline_of_an_exec_is_longer_than_what_it_runs() -> None:
    """nc gives up after 5 s, once for each address; name resolution comes on top."""
    assert EXEC_TIMEOUT >= 2 * 5 + 5
    assert len(API.pods) == 2
