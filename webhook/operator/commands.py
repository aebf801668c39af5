"""The smaller commands of `diego-runbook`. Each returns its exit code and prints its result to standard output."""

import asyncio
from collections.abc import Sequence

from exporter.config.model import Config, Foundation
from exporter.kubernetes.api import ApiUnreachableError, KubernetesError
from webhook.operator.command_context import CommandContext, ExitCode, hint, say
from webhook.operator.explain import explain_lines, public_explained
from webhook.operator.manifests import manifests, objects
from webhook.operator.next_step import after_error
from webhook.operator.postmortem import facts, postmortem
from webhook.operator.run_report import history_lines, run_lines
from webhook.operator.structured import JSON, MARKDOWN, TEXT, structured
from webhook.record import interventions
from webhook.record.errors import JournalError
from webhook.record.journal import Journal, Run
from webhook.record.public import public_run

Failure = KubernetesError | JournalError


async def history(command: CommandContext, foundations: Sequence[Foundation], *, output: str) -> ExitCode:
    """The runs on record, newest first, and what was decided without one. A foundation is printed when it is read."""
    printed = 0

    async def read(foundation: Foundation) -> Journal | Failure:
        nonlocal printed
        found = await _journal(command, foundation)
        if output == TEXT and isinstance(found, Journal):
            head = [""] * (printed > 0) + [f"foundation {foundation.name}:"] * (len(foundations) > 1)
            say("\n".join(head + history_lines(found)))
            printed += 1
        return found

    answers = await asyncio.gather(*map(read, foundations))
    found = [each for each in answers if isinstance(each, Journal)]
    if output != TEXT:
        runs = sorted((run for each in found for run in each.runs), key=lambda run: run.started, reverse=True)
        public = {
            "runs": [public_run(run) for run in runs],
            "notes": {each.foundation: each.notes[::-1] for each in found},
            "unknown": {
                foundation.name: str(answer)
                for foundation, answer in zip(foundations, answers, strict=True)
                if not isinstance(answer, Journal)
            },
        }
        say(structured(public, output))
    return ExitCode.OK if len(found) == len(answers) else ExitCode.UNKNOWN


async def show(command: CommandContext, config: Config, run_id: str, *, output: str) -> ExitCode:
    """One run, whole."""
    found = await _find(command, config, run_id)
    if isinstance(found, ExitCode):
        return found
    say("\n".join(run_lines(found[1])) if output == TEXT else structured(public_run(found[1]), output))
    return ExitCode.OK


async def report(command: CommandContext, config: Config, run_id: str, *, output: str) -> ExitCode:
    """A draft of a post-mortem of one run."""
    found = await _find(command, config, run_id)
    if isinstance(found, ExitCode):
        return found
    known = facts(found[1], now=command.now())
    say(postmortem(known) if output == MARKDOWN else structured(known, output))
    return ExitCode.OK


async def pause(command: CommandContext, foundation: Foundation, *, reason: str, output: str) -> ExitCode:
    """From now on nothing is restarted; a run in progress deletes no further pod."""
    store = command.store(foundation)
    done = await interventions.pause(store, by=command.person, reason=reason, now=command.now())
    return _said(foundation, done, output)


async def resume(command: CommandContext, foundation: Foundation, *, output: str) -> ExitCode:
    """Ends the pause."""
    store = command.store(foundation)
    return _said(foundation, await interventions.resume(store, by=command.person, now=command.now()), output)


async def reset(command: CommandContext, foundation: Foundation, *, output: str) -> ExitCode:
    """Closes the breaker; where the journal is lost, creates a new one."""
    store = command.store(foundation)
    return _said(foundation, await interventions.reset(store, by=command.person, now=command.now()), output)


async def approve(command: CommandContext, config: Config, run_id: str, *, output: str) -> ExitCode:
    """Lets a run continue that waits for approval."""
    found = await _find(command, config, run_id)
    if isinstance(found, ExitCode):
        return found
    store = command.store(found[0])
    try:
        await command.align_clock(found[0])
        done = await interventions.approve(store, run_id, by=command.person, now=command.now())
    except LookupError as error:
        hint(f"diego-runbook: {error.args[0]}")
        hint(f"next: `diego-runbook show {run_id}` tells what became of it")
        return ExitCode.UNKNOWN
    except (KubernetesError, JournalError) as error:
        return failed(error, found[0], writes=True)
    return _said(found[0], done, output)


async def _find(command: CommandContext, config: Config, run_id: str) -> tuple[Foundation, Run] | ExitCode:
    """The run with its foundation. Foundations that cannot be read hide no run of the others, and delay none."""

    async def look(foundation: Foundation) -> tuple[Foundation, Journal | Failure]:
        return foundation, await _journal(command, foundation)

    looking = [asyncio.create_task(look(foundation)) for foundation in config.foundations]
    unreadable = False
    try:
        for each in asyncio.as_completed(looking):
            foundation, journal = await each
            run = journal.find(run_id) if isinstance(journal, Journal) else None
            if run is not None:
                return foundation, run
            unreadable |= not isinstance(journal, Journal)
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
    hint(f"diego-runbook: there is no run {run_id} on record")
    hint("next: `diego-runbook history` lists the runs")
    return ExitCode.UNKNOWN if unreadable else ExitCode.USAGE


async def _journal(command: CommandContext, foundation: Foundation) -> Journal | Failure:
    """What is on record, or why it cannot be read, which is said."""
    try:
        return await command.store(foundation).refresh()
    except (KubernetesError, JournalError) as error:
        failed(error, foundation)
        return error


def failed(error: Failure, foundation: Foundation, *, writes: bool = False) -> ExitCode:
    """Says what went wrong and what to do next. `writes`: without an answer it is not known what is on record."""
    whose = "the API server: " if isinstance(error, KubernetesError) else ""
    hint(f"diego-runbook: {foundation.name}: {whose}{error}")
    hint(f"next: {after_error(error, foundation)}")
    if writes and isinstance(error, ApiUnreachableError):
        hint("next: repeat this command when the cluster answers")
    return ExitCode.UNKNOWN


def _said(foundation: Foundation, recorded: str, output: str) -> ExitCode:
    """What is on record now."""
    if output == TEXT:
        say(f"{foundation.name}: {recorded}")
    else:
        say(structured({"foundation": foundation.name, "recorded": recorded}, output))
    return ExitCode.OK


def explain(foundations: Sequence[Foundation], *, output: str) -> ExitCode:
    """The runbook with this foundation's names in it."""
    if output != TEXT:
        say(structured({"foundations": [public_explained(each) for each in foundations]}, output))
        return ExitCode.OK
    for number, foundation in enumerate(foundations):
        if number:
            say("")
        for line in explain_lines(foundation):
            say(line)
    return ExitCode.OK


def show_manifests(
    foundations: Sequence[Foundation], *, replicas: int, namespace: str, readers: Sequence[str], output: str
) -> ExitCode:
    """The Roles for these foundations, for `kubectl apply -f -`. Asks no API server."""
    if output == JSON:
        found = objects(foundations, replicas=replicas, namespace=namespace, readers=readers)
        say(structured({"apiVersion": "v1", "kind": "List", "items": found}, output))
    else:
        say(manifests(foundations, replicas=replicas, namespace=namespace, readers=readers).rstrip("\n"))
    return ExitCode.OK
