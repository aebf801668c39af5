"""`diego-runbook check`: the diagnosis of a foundation, by the runbook's own checks, without changing anything."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeGuard, TypeVar

from exporter.config.model import Foundation
from exporter.foundation.findings import Finding, findings
from exporter.foundation.look import look
from exporter.foundation.view import FoundationView
from exporter.kubernetes.api import ApiUnreachableError, KubernetesError
from exporter.tasks import together
from webhook.operator.command_context import ExitCode
from webhook.operator.permissions import Permission, missing
from webhook.record.errors import JournalError
from webhook.record.journal import Journal
from webhook.record.store import Store
from webhook.requests.decision import Decision, decide
from webhook.runbook.cloud_controller import Attempt, CloudController, Reachability
from webhook.runbook.context import RunContext
from webhook.runbook.guards import Refusal, refusal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Checkup:
    """Everything that was observed. What is None is unknown, and `trouble` says why."""

    foundation: Foundation
    view: FoundationView | None
    attempts: tuple[Attempt, ...]
    lacking: tuple[Permission, ...]
    journal: Journal | None
    trouble: tuple[str, ...]
    at: float
    errors: tuple[KubernetesError | JournalError, ...] = ()
    """Of the calls that failed, for advice."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        return () if self.view is None else findings(self.view, self.foundation, now=self.at)

    @property
    def sound(self) -> bool:
        """Whether nothing was found wrong, also not with what a run would need: permissions, and the journal."""
        return not (self.findings or self.lacking or self.trouble)

    @property
    def decision(self) -> Decision | None:
        """What would become of a request that is made now; None where the journal is not known."""
        if self.journal is None:
            return None
        return decide(self.journal, self.foundation, datetime.fromtimestamp(self.at, UTC))

    @property
    def guard(self) -> Refusal | None:
        """What would forbid the restart now."""
        return None if self.view is None else refusal(self.view, self.foundation)

    @property
    def reachable(self) -> bool | None:
        """What the Cloud Controller's pods prove: True, False (every attempt by every asked pod), or None."""
        found = {attempt.reachability for attempt in self.attempts}
        if found == {Reachability.REACHABLE}:
            return True
        complete = len(self.attempts) == self.foundation.remediation.confirm.attempts
        return False if complete and found == {Reachability.UNREACHABLE} else None

    @property
    def exit_code(self) -> ExitCode:
        if self.reachable is None:
            return ExitCode.UNKNOWN
        if not self.reachable:
            return ExitCode.FAILED
        return ExitCode.OK if self.sound else ExitCode.DEGRADED


async def check(
    context: RunContext,
    *,
    store: Store,
    progress: Callable[[], None],
) -> Checkup:
    """Looks, asks from inside the Cloud Controller as often as the runbook would, and reads the journal.

    What does not need another answer is asked at the same time, so an API server that hangs costs one time limit.
    `progress` is called after each attempt that found the BBS unreachable, while there are more to come.
    """
    foundation, writer = context.foundation, context.kubernetes
    trouble: list[str] = []
    errors: list[KubernetesError | JournalError] = []

    def known(name: str, answer: T | KubernetesError | JournalError) -> T | None:
        if isinstance(answer, KubernetesError | JournalError):
            trouble.append(f"{name}: {answer}")
            errors.append(answer)
            return None
        return answer

    async with together() as start:
        reading = start(_answer(store.refresh()))
        looked = await _answer(look(writer, foundation, clock=context.clock, dial=context.dial))
        view = known("foundation not readable", looked)
        # What did not answer just now is not asked again: the person would wait once more, and learn nothing.
        silent = isinstance(looked, ApiUnreachableError)
        checking = None if silent else start(_answer(missing(writer, foundation, view)))
        asking = (
            start(_ask(foundation, CloudController(context), view, progress)) if _can_ask(view, foundation) else None
        )
    lacking = None if checking is None else known("permissions not known", checking.result())
    if silent:
        trouble.append("permissions not known: the API server did not answer, so they were not asked for")
    journal = known("journal not readable", reading.result())
    if view is not None and asking is None:
        trouble.append("no api pod is fully ready, so the BBS cannot be checked from inside the Cloud Controller")
    return Checkup(
        foundation=foundation,
        view=view,
        attempts=() if asking is None else asking.result(),
        lacking=lacking or (),
        journal=journal,
        trouble=tuple(trouble),
        at=context.clock.now(),
        errors=tuple(errors),
    )


def _can_ask(view: FoundationView | None, foundation: Foundation) -> TypeGuard[FoundationView]:
    """Whether a pod of the Cloud Controller is known that can be asked."""
    return view is not None and any(
        name in view.components and view.components[name].ready for name in foundation.cloud_controller.statefulset
    )


async def _answer(call: Awaitable[T]) -> T | KubernetesError | JournalError:
    """The answer, or why there is none: an error of one call ends none of the others."""
    try:
        return await call
    except (KubernetesError, JournalError) as error:
        return error


async def _ask(
    foundation: Foundation, cloud_controller: CloudController, view: FoundationView, progress: Callable[[], None]
) -> tuple[Attempt, ...]:
    """One attempt where it succeeds; where it fails, as many as the runbook makes before it believes it."""
    confirm = foundation.remediation.confirm
    attempts = [await cloud_controller.attempt(view)]
    while attempts[-1].reachability is Reachability.UNREACHABLE and len(attempts) < confirm.attempts:
        progress()
        await asyncio.sleep(confirm.interval)
        attempts.append(await cloud_controller.attempt(view))
    return tuple(attempts)
