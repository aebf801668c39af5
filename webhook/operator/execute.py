"""One command of `diego-runbook`: its config, its foundation, and the exit code for whatever goes wrong."""

import argparse
import asyncio
import sys
from io import TextIOWrapper
from pathlib import Path

from exporter.config.errors import ConfigError
from exporter.config.load import load
from exporter.config.model import Config, Foundation
from exporter.kubernetes.api import KubernetesError
from exporter.serving.log import configure
from webhook.operator import commands
from webhook.operator.check_command import check
from webhook.operator.command_context import CommandContext, ExitCode, hint, mute, say
from webhook.operator.run_command import run
from webhook.operator.structured import JSON, structured
from webhook.operator.watch_command import watch
from webhook.record.errors import JournalError


def execute(arguments: argparse.Namespace) -> int:
    """The exit code of the command that was parsed."""
    _accept_all_characters()
    if arguments.command in {"completion", "schema"}:
        return _without_config(arguments)
    flags = {"config.file": "diego.yaml", "log.level": "error"} | vars(arguments)
    configure(flags["log.level"], "logfmt")
    try:
        config = load(flags["config.file"], program="runbook")
        foundation = _foundation(arguments, config)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        _hint_at_the_flag(arguments, flags["config.file"])
        return ExitCode.USAGE
    except LookupError as error:
        sys.stderr.write(f"diego-runbook: {error.args[0]}\n")
        return ExitCode.USAGE
    try:
        return asyncio.run(_run(arguments, config, foundation))
    except (KubernetesError, JournalError) as error:
        if foundation is None:  # the commands on all foundations report each of them themselves
            hint(f"diego-runbook: {error}")
            return ExitCode.UNKNOWN
        return commands.failed(error, foundation, writes=True)
    except KeyboardInterrupt:
        sys.stderr.write("diego-runbook: interrupted; a run in progress stays in the journal and is resumed\n")
        return 130
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        mute()
        if arguments.command == "run":
            sys.stderr.write("diego-runbook: nobody reads the output; the run stays in the journal and is resumed\n")
        return 141


def _without_config(arguments: argparse.Namespace) -> int:
    """The commands that need no config file. What they need is imported for them only."""
    try:
        if arguments.command == "completion":
            from webhook.operator.completion import script  # noqa: PLC0415 - as above

            say(script(arguments.shell).rstrip("\n"))
        else:
            from exporter.config.schema import schema, schema_text  # noqa: PLC0415 - as above

            say(schema_text().rstrip("\n") if arguments.output == JSON else structured(schema(), arguments.output))
    except BrokenPipeError:
        mute()
        return 141
    return ExitCode.OK


def _accept_all_characters() -> None:
    """A terminal that has not all of them gets what it can show, and escapes for the rest."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _hint_at_the_flag(arguments: argparse.Namespace, file: str) -> None:
    if "config.file" not in vars(arguments) and not Path(file).exists():
        hint("next: name the config file with --config.file")


def _foundation(arguments: argparse.Namespace, config: Config) -> Foundation | None:
    """The foundation that is named; None where none is. Raises LookupError for one that is not in the config."""
    name = getattr(arguments, "foundation", None)
    if name is None:
        return None
    found = config.foundation(name)
    if found is None:
        known = ", ".join(foundation.name for foundation in config.foundations)
        raise LookupError(f"there is no foundation {name} in the config; it has {known}")
    return found


async def _run(  # noqa: C901, PLR0912 - a case for each command
    arguments: argparse.Namespace, config: Config, foundation: Foundation | None
) -> int:
    chosen = (foundation,) if foundation is not None else config.foundations
    async with CommandContext() as command:
        if foundation is not None and arguments.command in {"run", "pause", "resume", "reset"}:
            await command.align_clock(foundation)
        match arguments.command, foundation:
            case "check", _:
                return await check(command, chosen, output=arguments.output)
            case "run", Foundation():
                return await run(command, foundation, observe=arguments.observe, output=arguments.output)
            case "watch", _:
                return await watch(command, chosen, output=arguments.output)
            case "history", _:
                return await commands.history(command, chosen, output=arguments.output)
            case "show", _:
                return await commands.show(command, config, arguments.run, output=arguments.output)
            case "report", _:
                return await commands.report(command, config, arguments.run, output=arguments.output)
            case "pause", Foundation():
                return await commands.pause(command, foundation, reason=arguments.reason, output=arguments.output)
            case "resume", Foundation():
                return await commands.resume(command, foundation, output=arguments.output)
            case "reset", Foundation():
                return await commands.reset(command, foundation, output=arguments.output)
            case "explain", _:
                return commands.explain(chosen, output=arguments.output)
            case "manifests", _:
                return commands.show_manifests(
                    chosen,
                    replicas=arguments.replicas,
                    namespace=arguments.namespace,
                    readers=arguments.readers,
                    output=arguments.output,
                )
            case "approve", _:
                return await commands.approve(command, config, arguments.run, output=arguments.output)
            case _:
                raise AssertionError(arguments.command)
