"""The commands of `diego-runbook`. Each returns its exit code; what it has to say goes to standard output."""

import asyncio
import getpass
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from random import Random
from types import TracebackType
from typing import Self

import msgspec
from prometheus_client import CollectorRegistry

from exporter.clock import SystemClock
from exporter.config.model import Config, Foundation
from exporter.foundation.probe import dial_tcp
from exporter.foundation.view import Probe
from exporter.kubernetes.api import KubernetesError
from exporter.kubernetes.connection import Connections
from webhook.medic.wiring import medic_for, store_for, writer_for
from webhook.metrics import Counters, RunMetrics
from webhook.operator import checkup
from webhook.operator.explain import explain_lines
from webhook.operator.follow import follow
from webhook.operator.report import checkup_lines, history_lines, outcome_line, run_lines
from webhook.record import journal
from webhook.record.journal import Journal, Outcome, PersonRecord, Run
from webhook.record.lease import new_identity
from webhook.record.store import JournalError, Store
from webhook.requests.decision import Decision, Verdict, ask_as_person, withdraw
from webhook.runbook.cloud_controller import CloudController

OK, FAILED, USAGE, UNKNOWN = 0, 1, 2, 3
_EXIT_CODES = {
    Outcome.RECOVERED: OK,
    Outcome.NOT_NEEDED: OK,
    Outcome.OBSERVED: OK,
    Outcome.FAILED: FAILED,
    Outcome.UNPROVEN: UNKNOWN,
    Outcome.REFUSED: UNKNOWN,
    Outcome.CANCELLED: UNKNOWN,
}


class Desk:
    """Where a command works: the connections, the clock, and who the person is."""

    def __init__(self) -> None:
        self.connections = Connections()
        self.clock = SystemClock()
        self.person = f"{_user()}@{socket.gethostname()}"

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def store(self, foundation: Foundation) -> Store:
        return store_for(foundation, writer_for(foundation, self.connections))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connections.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return f"uid-{os.getuid()}"


def say(text: str) -> None:
    """A line for the person, at once: progress is read while it is made."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _hint(text: str) -> None:
    """A line beside the result, for whoever waits for it."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def check(desk: Desk, foundation: Foundation) -> int:
    """Diagnoses, and touches nothing."""
    writer = writer_for(foundation, desk.connections)
    found = await checkup.check(
        foundation,
        writer=writer,
        store=store_for(foundation, writer),
        cloud_controller=CloudController(
            foundation=foundation, writer=writer, clock=desk.clock, observe=lambda _probe, _reachable: None
        ),
        clock=desk.clock,
        dial=dial_tcp,
        progress=_hint,
    )
    for line in checkup_lines(found):
        say(line)
    return found.exit_code


async def run(desk: Desk, foundation: Foundation, *, observe: bool) -> int:
    """Asks for a run, executes it unless somebody else holds the lease, and says what happens."""
    if foundation.remediation.mode is None and not observe:
        sys.stderr.write("diego-runbook: remediation.mode is not set; give it in the config, or say --observe\n")
        return USAGE
    medic = medic_for(
        foundation,
        connections=desk.connections,
        clock=desk.clock,
        dial=dial_tcp,
        random=Random(),  # noqa: S311 - jitter and the tail of a run's id
        identity=new_identity(),
        metrics=RunMetrics(Counters(CollectorRegistry()), foundation.name),
        observe_probe=_ignore_probe,
    )
    person = PersonRecord(by=desk.person, at=desk.now(), observe=observe)
    try:
        decision, under_way = await medic.store.update(partial(_ask, person=person, foundation=foundation))
    except KubernetesError:
        await _withdraw(medic.store, person)  # it may be on record all the same, if only the answer was lost
        raise
    say(f"{decision.verdict}: {decision.text}")
    if decision.verdict is Verdict.REFUSE:
        return UNKNOWN
    working = asyncio.create_task(medic.run())
    try:
        ended = await follow(
            medic.store,
            find=partial(_find, person, under_way),
            waiting=_asked(medic.store),
            hindered=lambda: medic.waits_for,
            say=say,
        )
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await _withdraw(medic.store, person)  # whoever stopped waiting no longer asks
    if ended is None:
        say("refused: what was asked was dropped before it began; see `diego-runbook history`")
        return UNKNOWN
    say(outcome_line(ended))
    return _EXIT_CODES[Outcome(str(ended.outcome))]


def _ask(before: Journal, *, person: PersonRecord, foundation: Foundation) -> tuple[Journal, tuple[Decision, str]]:
    """Records what the person asks; with the decision comes the run under way, if there is one."""
    after, decision = ask_as_person(before, person, foundation)
    return after, (decision, before.open_run.id if before.open_run is not None else "")


async def _withdraw(store: Store, person: PersonRecord) -> None:
    with suppress(KubernetesError, JournalError):
        await store.update(lambda before: (withdraw(before, person), None))


def _find(person: PersonRecord, under_way: str, runs: tuple[Run, ...]) -> Run | None:
    """The run that this person asked for, or the one that was under way when they asked."""
    return next((run for run in reversed(runs) if run.id == under_way or run.person == person), None)


def _asked(store: Store) -> Callable[[], bool]:
    """Whether a person's request still stands in the journal."""

    def asked() -> bool:
        before = store.journal
        return before is None or (before.request is not None and before.request.person is not None)

    return asked


def _ignore_probe(_foundation: str, _probe: Probe, _reachable: bool | None) -> None:
    """A command that ends has no metrics to show."""


async def history(desk: Desk, foundations: Sequence[Foundation], *, as_json: bool) -> int:
    """The runs on record, newest first, and what was decided without one."""
    found = [await desk.store(foundation).refresh() for foundation in foundations]
    if as_json:
        runs = sorted((run for each in found for run in each.runs), key=lambda run: run.started, reverse=True)
        say(_json({"runs": runs, "notes": {each.foundation: each.notes[::-1] for each in found}}))
        return OK
    for number, each in enumerate(found):
        for line in ([""] if number else []) + history_lines(each):
            say(line)
    return OK


async def show(desk: Desk, config: Config, run_id: str, *, as_json: bool) -> int:
    """One run, whole."""
    for foundation in config.foundations:
        found = (await desk.store(foundation).refresh()).find(run_id)
        if found is None:
            continue
        for line in [_json(found)] if as_json else run_lines(found):
            say(line)
        return OK
    sys.stderr.write(f"diego-runbook: there is no run {run_id} on record\n")
    return USAGE


async def pause(desk: Desk, foundation: Foundation, *, reason: str) -> int:
    """From now on nothing is restarted; a run under way deletes no further pod."""
    change = partial(journal.pause, by=desk.person, reason=reason, now=desk.now())
    return await _change(desk, foundation, change)


async def resume(desk: Desk, foundation: Foundation) -> int:
    """Ends the pause."""
    return await _change(desk, foundation, partial(journal.resume, by=desk.person, now=desk.now()))


async def reset(desk: Desk, foundation: Foundation) -> int:
    """Closes the breaker; where the journal is lost, begins a new one."""
    store = desk.store(foundation)
    if await store.reset_lost():
        say("the journal was lost; a new one is begun, the old text is kept beside it")
    return await _change(desk, foundation, partial(journal.reset, by=desk.person, now=desk.now()))


async def _change(desk: Desk, foundation: Foundation, change: Callable[[Journal], Journal]) -> int:
    def apply(before: Journal) -> tuple[Journal, str]:
        after = change(before)
        return after, after.notes[-1].text

    say(f"{foundation.name}: {await desk.store(foundation).update(apply)}")
    return OK


def explain(foundations: Sequence[Foundation]) -> int:
    """The procedure, with this foundation's names in it."""
    for number, foundation in enumerate(foundations):
        if number:
            say("")
        for line in explain_lines(foundation):
            say(line)
    return OK


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()
