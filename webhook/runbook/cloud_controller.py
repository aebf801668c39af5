"""The view from the Cloud Controller: steps 3, 4 and 7 of IBM's runbook, checked from inside the api pods.

`nc -zv HOST PORT` by exec in up to three fully ready api pods. Its output is read by the table in docs/proof.md; what
is not in the table is unknown, and unknown never deletes a pod.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from exporter.config.model import Foundation
from exporter.foundation.assess import no_ready_endpoint, proves
from exporter.foundation.view import FoundationView, Probe, ProbeResult
from exporter.kubernetes.api import KubernetesError
from exporter.kubernetes.objects import Pod
from webhook.record.reasons import RunReason
from webhook.runbook.context import RunContext
from webhook.writer import ExecResult

MAX_ASKED = 3
CONNECT_TIMEOUT = 5
"""Seconds that `nc` waits for the connection; name resolution comes on top."""
MAX_WORDS = 300
"""Characters that are kept of what a program printed."""

_MISSING = 127
_BY_MESSAGE = (
    (re.compile(r"Connection refused"), ProbeResult.REFUSED),
    # OpenBSD's nc with -w: its own time-out is reported as the errno of the connect under way
    (re.compile(r"Connection timed out|timed out: Operation now in progress"), ProbeResult.TIMEOUT),
    (re.compile(r"No route to host|Network is unreachable"), ProbeResult.UNREACHABLE),
    # No such name, or no address. A resolver that failed ("Temporary failure …") said neither, and stays an error.
    (re.compile(r"Name or service not known|No address associated with hostname"), ProbeResult.DNS),
)


# Lines that nc prints beside its result, and that say nothing about it.
_BESIDE = re.compile(r"inverse host lookup failed|fwd/rev mismatch")


def nc(host: str, port: int) -> tuple[str, ...]:
    """The command of IBM's runbook, in a fixed locale and with a time-out: no shell, no terminal."""
    return ("env", "LC_ALL=C", "nc", "-zv", "-w", str(CONNECT_TIMEOUT), host, str(port))


def bash(host: str, port: int) -> tuple[str, ...]:
    """The same question where `nc` is missing."""
    script = 'exec 3<>"/dev/tcp/$0/$1"'
    return ("env", "LC_ALL=C", "timeout", str(CONNECT_TIMEOUT), "bash", "-c", script, host, str(port))


def read_nc(answer: ExecResult) -> tuple[ProbeResult, str]:
    """What the exit code and the output of `nc` mean, and the output.

    A name may have several addresses, with a line for each: one line that is not in the table makes the whole unknown.
    """
    words = _words(answer)
    if answer.exit_code == 0:
        return ProbeResult.SUCCESS, words
    if answer.exit_code == 1:
        lines = [line for line in answer.stderr.splitlines() if line.strip() and not _BESIDE.search(line)]
        results = [_result_of(line) for line in lines]
        known = [result for result in results if result is not None]
        if known and len(known) == len(results):
            return known[0], words
    code = "no exit code" if answer.exit_code is None else f"exit code {answer.exit_code}"
    return ProbeResult.ERROR, f"{code}: {words}" if words else code


def _result_of(line: str) -> ProbeResult | None:
    return next((result for pattern, result in _BY_MESSAGE if pattern.search(line)), None)


def _words(answer: ExecResult) -> str:
    """In one line and cut short: a pod may print what it likes."""
    return " ".join((answer.stderr.strip() or answer.error).split())[:MAX_WORDS]


class Reachability(StrEnum):
    """What one attempt by all asked pods proves."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PodAnswer:
    """What one api pod reported. `reachable` is None where that proves nothing, for `reason`."""

    pod: str
    probe: Probe
    reachable: bool | None
    reason: RunReason | None = None

    def __str__(self) -> str:
        return f"{self.pod}: {self.probe.detail or self.probe.result}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What all asked pods reported at one time."""

    answers: tuple[PodAnswer, ...]

    @property
    def reachability(self) -> Reachability:
        """Unanimous, or unknown: pods that disagree prove nothing."""
        reported = {answer.reachable for answer in self.answers}
        if reported == {True}:
            return Reachability.REACHABLE
        if reported == {False}:
            return Reachability.UNREACHABLE
        return Reachability.UNKNOWN

    @property
    def reason(self) -> RunReason | None:
        """Why the attempt proves nothing; None where it does."""
        if self.reachability is not Reachability.UNKNOWN:
            return None
        if not self.answers:
            return RunReason.CLOUD_CONTROLLER_DOWN
        unknown = [answer.reason for answer in self.answers if answer.reachable is None]
        return (unknown[0] or RunReason.EXEC_FAILED) if unknown else RunReason.PODS_DISAGREE

    def __str__(self) -> str:
        return "; ".join(map(str, self.answers))


def to_ask(pods: Sequence[Pod]) -> tuple[Pod, ...]:
    """The fully ready pods, `api-0` first, three at most."""
    return tuple(pod for pod in pods if pod.fully_ready)[:MAX_ASKED]


def container_of(pod: Pod, foundation: Foundation, statefulset: str) -> str:
    """The container to check from: the configured one, else the annotated default, else the StatefulSet's namesake."""
    names = [container.name for container in pod.spec.containers]
    if foundation.cloud_controller.container is not None:
        return foundation.cloud_controller.container
    annotated = (pod.metadata.annotations or {}).get("kubectl.kubernetes.io/default-container")
    if annotated in names:
        return str(annotated)
    return statefulset if statefulset in names else names[0]


class CloudController:
    """Checks from the api pods whether they reach the BBS."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._foundation = context.foundation

    async def attempt(self, view: FoundationView) -> Attempt:
        """Checks from every ready api pod of the view at the same time. An exec that fails is unknown, not an error."""
        asked = [
            (pod, container_of(pod, self._foundation, name))
            for name in self._foundation.cloud_controller.statefulset
            if name in view.components
            for pod in to_ask(view.components[name].pods)
        ][:MAX_ASKED]
        answers = await asyncio.gather(*(self._ask(pod.name, container, view) for pod, container in asked))
        return Attempt(tuple(answers))

    async def _ask(self, pod: str, container: str, view: FoundationView) -> PodAnswer:
        host, port = self._foundation.bbs.host, self._foundation.bbs.port
        loop = asyncio.get_running_loop()
        started = loop.time()
        reason = RunReason.EXEC_FAILED
        try:
            answer = await self._exec(pod, container, nc(host, port))
            result, words = read_nc(answer)
            if answer.exit_code == _MISSING:
                result, words = await self._ask_bash(pod, container)
                reason = RunReason.NC_MISSING
        except KubernetesError as error:
            result, words = ProbeResult.ERROR, f"exec: {error}"
        now = self._context.clock.now()
        probe = Probe(result=result, at=now, duration=loop.time() - started, detail=words)
        reachable = proves(result, no_ready_endpoint=no_ready_endpoint(view))
        if reachable is None and result is ProbeResult.DNS:
            reason = RunReason.NAME_UNKNOWN
        self._context.on_probe(probe, reachable)
        return PodAnswer(pod=pod, probe=probe, reachable=reachable, reason=None if reachable is not None else reason)

    async def _ask_bash(self, pod: str, container: str) -> tuple[ProbeResult, str]:
        """Without `nc`, bash can prove that the BBS is reachable. That it is unreachable is only `nc`'s to prove.

        bash fails alike for a refused connection, for a redirection it was built without and for a name that did not
        resolve in time; IBM's runbook relies on `nc`, and a pod is not deleted on less.
        """
        answer = await self._exec(pod, container, bash(self._foundation.bbs.host, self._foundation.bbs.port))
        if answer.exit_code == 0:
            return ProbeResult.SUCCESS, "nc is missing; bash connected"
        return ProbeResult.ERROR, f"nc is missing, and bash did not connect ({_words(answer)})"

    async def _exec(self, pod: str, container: str, argv: Sequence[str]) -> ExecResult:
        return await self._context.kubernetes.exec(pod, container, argv, timeout=self._context.timings.exec)
