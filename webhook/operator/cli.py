"""`diego-runbook`: the operator's command line for the same runbook, journal and guards as the webhook.

What the commands need is imported when the flags are right: `--help` answers as fast as kubectl does.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from exporter.serving.log import LEVELS

MOST_REPLICAS = 100


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Usage and config errors exit 2; the commands' own exit codes are in docs/runbook-cli.md."""
    arguments = _parser().parse_args(argv)
    from webhook.operator.execute import execute  # noqa: PLC0415 - as above

    return execute(arguments)


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
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
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


class _Version(argparse.Action):
    """argparse's own wants the version beforehand, and to find that takes longer than to print the help."""

    def __call__(self, parser: argparse.ArgumentParser, *_args: Any, **_kwargs: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - as above

        sys.stdout.write(f"{parser.prog} {version('diego-medic')}\n")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
