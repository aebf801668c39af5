"""`diego-runbook`: the operator's command line for the same runbook, journal and guards as the webhook."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version

from exporter.config.errors import ConfigError
from exporter.config.load import load
from exporter.config.model import Config, Foundation
from exporter.kubernetes.api import KubernetesError
from exporter.serving.log import LEVELS, configure
from webhook.operator import commands
from webhook.operator.command_context import CommandContext, ExitCode
from webhook.operator.run_command import run
from webhook.record.errors import JournalError

MOST_REPLICAS = 100


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Usage and config errors exit 2; the commands' own exit codes are in docs/runbook-cli.md."""
    arguments = _parser().parse_args(argv)
    flags = {"config.file": "diego.yaml", "log.level": "error"} | vars(arguments)
    configure(flags["log.level"], "logfmt")
    try:
        config = load(flags["config.file"], program="runbook")
        foundation = _foundation(arguments, config)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.USAGE
    except LookupError as error:
        sys.stderr.write(f"diego-runbook: {error.args[0]}\n")
        return ExitCode.USAGE
    try:
        return asyncio.run(_run(arguments, config, foundation))
    except (KubernetesError, JournalError) as error:
        sys.stderr.write(f"diego-runbook: {error}\n")
        return ExitCode.UNKNOWN
    except KeyboardInterrupt:
        sys.stderr.write("diego-runbook: interrupted; a run in progress stays in the journal and is resumed\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)  # before or after the command
    common.add_argument("--config.file", metavar="FILE", help="path of the config file (default: diego.yaml)")
    common.add_argument("--log.level", choices=LEVELS, help="lowest level of log messages on stderr (default: error)")
    parser = argparse.ArgumentParser(
        prog="diego-runbook",
        description="Execute the documented restart of the Diego BBS by hand, with the checks, guards, journal and "
        "lease of diego-webhook.",
        epilog="Exit status of all commands: 0 success, 2 usage or config error, 3 the API server or the journal is "
        "unreachable, 130 interrupted. `diego-runbook COMMAND --help` lists what a command adds to that.",
        allow_abbrev=False,
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('diego-medic')}")
    commands_of = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(
        name: str, text: str, *, foundation: str | None = None, exit_status: str | None = None
    ) -> argparse.ArgumentParser:
        sub = commands_of.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"Exit status: {exit_status}." if exit_status else None,
            allow_abbrev=False,
            parents=[common],
        )
        if foundation == "one":
            sub.add_argument("foundation", metavar="FOUNDATION", help="name of the foundation in the config file")
        elif foundation == "optional":
            text = "name of the foundation in the config file (default: all foundations)"
            sub.add_argument("foundation", metavar="FOUNDATION", nargs="?", help=text)
        return sub

    command(
        "check",
        "diagnose the foundation without changing anything",
        foundation="one",
        exit_status="0 healthy, 1 BBS proved unreachable, 3 unknown, 4 BBS reachable but something else is wrong",
    )
    run_ = command(
        "run",
        "execute the runbook now, with all its guards",
        foundation="one",
        exit_status="0 recovered, not-needed or observed; 1 failed; 3 unproven, refused or cancelled",
    )
    run_.add_argument("--observe", action="store_true", help="report what a run would do, delete nothing")
    history = command("history", "list the runs in the journal, newest first", foundation="optional")
    show = command("show", "print one run with its steps, pods and evidence")
    show.add_argument("run", metavar="RUN", help="ID of the run, as `history` prints it")
    for sub in (history, show):
        text = "output format (default: text)"
        sub.add_argument("-o", "--output", choices=("text", "json"), default="text", help=text)
    pause = command("pause", "suspend restarts until `resume`; monitoring continues", foundation="one")
    pause.add_argument("--reason", required=True, help="why; printed by `check` and `history`")
    command("resume", "end the pause; requests refused in the meantime are not replayed", foundation="one")
    command("reset", "reset the circuit breaker, or replace a lost journal", foundation="one")
    approve = command("approve", "approve a run that waits for approval (mode `approve`)")
    approve.add_argument("run", metavar="RUN", help="ID of the run")
    command("explain", "print the steps of the runbook with their kubectl commands", foundation="optional")
    rights = command(
        "manifests", "print the Roles that this config needs, for `kubectl apply -f -`", foundation="optional"
    )
    rights.add_argument("--replicas", type=_count, default=2, metavar="N", help="pods of each StatefulSet (default: 2)")
    text = "namespace of the programs' service accounts (default: diego-medic)"
    rights.add_argument("--namespace", default="diego-medic", help=text)
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_REPLICAS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_REPLICAS}")
    return int(text)


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


async def _run(  # noqa: C901 - a case for each command
    arguments: argparse.Namespace, config: Config, foundation: Foundation | None
) -> int:
    async with CommandContext() as command:
        if arguments.command in {"run", "pause", "resume", "reset", "approve"}:
            await command.align_clock(foundation or config.foundations[0])
        match arguments.command, foundation:
            case "check", Foundation():
                return await commands.check(command, foundation)
            case "run", Foundation():
                return await run(command, foundation, observe=arguments.observe)
            case "history", _:
                chosen = (foundation,) if foundation is not None else config.foundations
                return await commands.history(command, chosen, json=arguments.output == "json")
            case "show", _:
                return await commands.show(command, config, arguments.run, json=arguments.output == "json")
            case "pause", Foundation():
                return await commands.pause(command, foundation, reason=arguments.reason)
            case "resume", Foundation():
                return await commands.resume(command, foundation)
            case "reset", Foundation():
                return await commands.reset(command, foundation)
            case "explain", _:
                return commands.explain((foundation,) if foundation is not None else config.foundations)
            case "manifests", _:
                chosen = (foundation,) if foundation is not None else config.foundations
                return commands.show_manifests(chosen, replicas=arguments.replicas, namespace=arguments.namespace)
            case "approve", _:
                return await commands.approve(command, config, arguments.run)
            case _:
                raise AssertionError(arguments.command)


if __name__ == "__main__":
    logging.captureWarnings(capture=True)
    sys.exit(main())
