"""The view from the Cloud Controller: the document's steps 3, 4 and 7, asked from inside the api pods.

`nc -zv HOST PORT` by exec in up to three fully ready api pods. What it printed is read by the table in docs/proof.md;
what is not in the table is unknown, and unknown never deletes a pod.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from exporter.clock import Clock
from exporter.config.model import Foundation
from exporter.foundation.assess import no_ready_endpoint, proves
from exporter.foundation.view import FoundationView, Probe, ProbeResult
from exporter.kubernetes.api import KubernetesError
from exporter.kubernetes.objects import Pod
from webhook.writer import ExecResult, Writer

MAX_ASKED = 3
CONNECT_TIMEOUT = 5
"""Seconds that `nc` waits for the connection; name resolution comes on top."""
EXEC_TIMEOUT = 20.0
"""Seconds for the whole exec, from one pod."""

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


def nc(host: str, port: int) -> tuple[str, ...]:
    """The document's command, in a fixed locale and with a time-out: no shell, no terminal."""
    return ("env", "LC_ALL=C", "nc", "-zv", "-w", str(CONNECT_TIMEOUT), host, str(port))


def bash(host: str, port: int) -> tuple[str, ...]:
    """The same question where `nc` is missing."""
    script = 'exec 3<>"/dev/tcp/$0/$1"'
    return ("env", "LC_ALL=C", "timeout", str(CONNECT_TIMEOUT), "bash", "-c", script, host, str(port))


def read_nc(answer: ExecResult) -> tuple[ProbeResult, str]:
    """What the exit code and the message of `nc` say, with the words they say it in."""
    words = _words(answer)
    if answer.exit_code == 0:
        return ProbeResult.SUCCESS, words
    if answer.exit_code == 1:
        for pattern, result in _BY_MESSAGE:
            if pattern.search(answer.stderr):
                return result, words
    code = "no exit code" if answer.exit_code is None else f"exit code {answer.exit_code}"
    return ProbeResult.ERROR, f"{code}: {words}" if words else code


def _words(answer: ExecResult) -> str:
    """In one line and cut short: a pod may print what it likes."""
    return " ".join((answer.stderr.strip() or answer.error).split())[:MAX_WORDS]


class Verdict(StrEnum):
    """What one attempt by all asked pods proves."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one api pod said. `reachable` is None where that proves nothing, and `why` is then the reason's name."""

    pod: str
    probe: Probe
    reachable: bool | None
    why: str = ""

    def __str__(self) -> str:
        return f"{self.pod}: {self.probe.detail or self.probe.result}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What all asked pods said at one time."""

    answers: tuple[Answer, ...]

    @property
    def verdict(self) -> Verdict:
        """Unanimous, or unknown: pods that disagree prove nothing."""
        said = {answer.reachable for answer in self.answers}
        if said == {True}:
            return Verdict.REACHABLE
        if said == {False}:
            return Verdict.UNREACHABLE
        return Verdict.UNKNOWN

    @property
    def why(self) -> str:
        """The reason's name where the verdict is unknown, else empty."""
        if self.verdict is not Verdict.UNKNOWN:
            return ""
        if not self.answers:
            return "cloud-controller-down"
        unknown = [answer.why for answer in self.answers if answer.reachable is None]
        return unknown[0] if unknown else "pods-disagree"

    def __str__(self) -> str:
        return "; ".join(map(str, self.answers))


def to_ask(pods: Sequence[Pod]) -> tuple[Pod, ...]:
    """The fully ready pods, `api-0` first, three at most."""
    return tuple(pod for pod in pods if pod.fully_ready)[:MAX_ASKED]


def container_of(pod: Pod, foundation: Foundation, statefulset: str) -> str:
    """The container to ask in: the configured one, else the annotated default, else the StatefulSet's namesake."""
    names = [container.name for container in pod.spec.containers]
    if foundation.cloud_controller.container is not None:
        return foundation.cloud_controller.container
    annotated = (pod.metadata.annotations or {}).get("kubectl.kubernetes.io/default-container")
    if annotated in names:
        return str(annotated)
    return statefulset if statefulset in names else names[0]


class CloudController:
    """Asks the api pods whether they reach the BBS."""

    def __init__(
        self, *, foundation: Foundation, writer: Writer, clock: Clock, observe: Callable[[Probe, bool | None], None]
    ) -> None:
        self._foundation = foundation
        self._writer = writer
        self._clock = clock
        self._observe = observe

    async def attempt(self, view: FoundationView) -> Attempt:
        """Asks every ready api pod of the view, at the same time. An exec that fails is an unknown, never an error."""
        asked = [
            (pod, container_of(pod, self._foundation, name))
            for name in self._foundation.cloud_controller.statefulset
            for pod in to_ask(view.components[name].pods)
        ][:MAX_ASKED]
        answers = await asyncio.gather(*(self._ask(pod.name, container, view) for pod, container in asked))
        return Attempt(tuple(answers))

    async def _ask(self, pod: str, container: str, view: FoundationView) -> Answer:
        host, port = self._foundation.bbs.host, self._foundation.bbs.port
        loop = asyncio.get_running_loop()
        started = loop.time()
        why = "exec-failed"
        try:
            answer = await self._writer.exec(pod, container, nc(host, port), timeout=EXEC_TIMEOUT)
            result, words = read_nc(answer)
            if answer.exit_code == _MISSING:
                result, words = await self._ask_bash(pod, container)
                why = "nc-missing"
        except KubernetesError as error:
            result, words = ProbeResult.ERROR, f"exec: {error}"
        probe = Probe(result=result, at=self._clock.now(), duration=loop.time() - started, detail=words)
        reachable = proves(result, no_ready_endpoint=no_ready_endpoint(view))
        if reachable is None and result is ProbeResult.DNS:
            why = "name-unknown"
        self._observe(probe, reachable)
        return Answer(pod=pod, probe=probe, reachable=reachable, why="" if reachable is not None else why)

    async def _ask_bash(self, pod: str, container: str) -> tuple[ProbeResult, str]:
        """Without `nc`, bash can show that the BBS is reachable. That it is not is for `nc` alone to prove.

        bash's own failure looks alike for a refused connection, a redirection it was built without and a name it could
        not resolve in time; the document's proof is `nc`'s, and a pod is not deleted on less.
        """
        host, port = self._foundation.bbs.host, self._foundation.bbs.port
        answer = await self._writer.exec(pod, container, bash(host, port), timeout=EXEC_TIMEOUT)
        if answer.exit_code == 0:
            return ProbeResult.SUCCESS, "nc is missing; bash connected"
        return ProbeResult.ERROR, f"nc is missing, and bash did not connect ({_words(answer)})"
