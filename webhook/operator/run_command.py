"""`diego-runbook run`: requests a run, executes it unless another process holds the lease, and prints its progress."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from msgspec.structs import replace

from exporter.config.model import Foundation
from exporter.config.remediation import Mode
from exporter.foundation.probe import dial_tcp
from exporter.foundation.view import Probe
from exporter.kubernetes.api import KubernetesError
from webhook.medic.medic import Medic
from webhook.medic.wiring import medic_for, writer_for
from webhook.operator.command_context import CommandContext, ExitCode, NoMeter, hint, say
from webhook.operator.follow import Lines, Progress, follow
from webhook.operator.lookout import Lookout
from webhook.operator.next_step import after_refusal
from webhook.operator.structured import TEXT, public_request, structured
from webhook.operator.terminal import draws_on
from webhook.record.errors import JournalError
from webhook.record.journal import Journal, Outcome, PersonRecord, Run
from webhook.record.lease import new_identity
from webhook.record.store import Store
from webhook.requests.decision import Decision, DecisionKind, request_as_person, withdraw

_EXIT_CODES = {
    Outcome.RECOVERED: ExitCode.OK,
    Outcome.NOT_NEEDED: ExitCode.OK,
    Outcome.OBSERVED: ExitCode.OK,
    Outcome.FAILED: ExitCode.FAILED,
    Outcome.UNPROVEN: ExitCode.UNKNOWN,
    Outcome.REFUSED: ExitCode.UNKNOWN,
    Outcome.CANCELLED: ExitCode.UNKNOWN,
}


async def run(command: CommandContext, foundation: Foundation, *, observe: bool, output: str) -> ExitCode:
    """Returns when the run has ended, whichever process executed it.

    With an `output` for programs, its progress goes to standard error.
    """
    if foundation.remediation.mode is None and not observe:
        hint("diego-runbook: remediation.mode is not set: set it in the config file, or use --observe")
        return ExitCode.USAGE
    if observe:  # the strictest of the run's mode, the config's and the flag's applies
        foundation = observing(foundation)
    person = PersonRecord(by=command.person, at=command.now(), observe=observe)
    medic = _medic(command, foundation, person)
    try:
        decision, in_progress = await medic.store.update(partial(_request, person=person, foundation=foundation))
    except KubernetesError:
        await _withdraw(medic.store, person)  # it may be on record all the same, if only the answer was lost
        raise
    tell = say if output == TEXT else hint
    tell(f"{decision.kind}: {decision.text}")
    ended = None
    if decision.kind is DecisionKind.REFUSE:
        hint(f"next: {after_refusal(decision, foundation)}")
    else:
        async with _progress(command, foundation, medic.store, output=output) as progress:
            ended = await _executed(medic, person, in_progress, progress)
            if ended is not None:
                progress.end(ended)
            else:
                progress.say("refused: the request was dropped before it became a run; see `diego-runbook history`")
    if output != TEXT:
        say(structured(public_request(decision, ended), output))
    return ExitCode.UNKNOWN if ended is None else _EXIT_CODES[Outcome(str(ended.outcome))]


def observing(foundation: Foundation) -> Foundation:
    return replace(foundation, remediation=replace(foundation.remediation, mode=Mode.OBSERVE))


def _medic(command: CommandContext, foundation: Foundation, person: PersonRecord) -> Medic:
    def executes(run: Run) -> bool:
        """With --observe only this person's own run: to continue another one would end it without a restart."""
        return not person.observe or run.person == person

    return medic_for(
        foundation,
        connections=command.connections,
        clock=command.clock,
        dial=dial_tcp,
        random=command.random,
        identity=new_identity(),
        meter=NoMeter(),
        on_probe=_ignore,
        executes=executes,
        decides=lambda request: request.person == person,
    )


@asynccontextmanager
async def _progress(
    command: CommandContext, foundation: Foundation, store: Store, *, output: str
) -> AsyncIterator[Progress]:
    """Plain lines, or a display of what is awaited. It only shows: whatever becomes of it, the run goes on."""
    if output != TEXT or not draws_on(sys.stdout):
        yield Lines(say if output == TEXT else hint)
        return
    from webhook.operator.run_display import displayed  # noqa: PLC0415 - rich is imported where something is drawn

    writer = writer_for(foundation, command.connections)
    lookout = Lookout(foundation, writer, store, clock=command.clock, random=command.random, dial=dial_tcp)
    async with displayed(lookout) as progress:
        yield progress


async def _executed(medic: Medic, person: PersonRecord, in_progress: str, progress: Progress) -> Run | None:
    """The ended run; None where the request was dropped. Raises what ended the medic, should it crash."""
    working = asyncio.create_task(medic.run())
    following = asyncio.create_task(
        follow(
            medic.store,
            find=partial(_find, person, in_progress),
            waiting=_requested(medic.store),
            hindered=lambda: medic.waits_for,
            progress=progress,
        )
    )
    try:
        await asyncio.wait((working, following), return_when=asyncio.FIRST_COMPLETED)
        if not following.done():
            working.result()
        return await following
    finally:
        for task in (working, following):
            task.cancel()
        await asyncio.gather(working, following, return_exceptions=True)
        await _withdraw(medic.store, person)  # a person who does not wait any more does not request a run


def _request(before: Journal, *, person: PersonRecord, foundation: Foundation) -> tuple[Journal, tuple[Decision, str]]:
    """Records the request; beside the decision it returns the id of the run in progress, if there is one."""
    after, decision = request_as_person(before, person, foundation)
    return after, (decision, before.open_run.id if before.open_run is not None else "")


async def _withdraw(store: Store, person: PersonRecord) -> None:
    with suppress(KubernetesError, JournalError):
        await store.update(lambda before: (withdraw(before, person), None))


def _find(person: PersonRecord, in_progress: str, runs: tuple[Run, ...]) -> Run | None:
    """The run that this person requested, or the one that was in progress at that time."""
    return next((run for run in reversed(runs) if run.id == in_progress or run.person == person), None)


def _requested(store: Store) -> Callable[[], bool]:
    """Whether a person's request is still in the journal."""

    def requested() -> bool:
        before = store.journal
        return before is None or (before.request is not None and before.request.person is not None)

    return requested


def _ignore(_foundation: str, _probe: Probe, _reachable: bool | None) -> None: ...
