"""`diego-runbook`: the operator's command line for the same runbook, journal and guards as the webhook.

What the commands need is imported when the flags are right: `--help` answers as fast as kubectl does.
"""

import argparse
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from exporter.serving.log import LEVELS

MOST_REPLICAS = 100
_COLUMNS = 79
_STATUS = (
    "Exit status of all commands: 0 success, 2 usage or config error, 3 the API server or the journal is unreachable, "
    "130 interrupted. `diego-runbook COMMAND --help` lists what a command adds to that."
)
_READS = "0 done, 2 usage or config error, 3 the API server or the journal is unreachable"
_OF_A_RUN = "0 done, 2 no such run, usage or config error, 3 the API server or the journal is unreachable"
_LOCAL = "0 done, 2 usage or config error"


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Usage and config errors exit 2; the commands' own exit codes are in docs/runbook-cli.md."""
    flags = parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks for completions: this ends the process
        from webhook.operator.completion import complete  # noqa: PLC0415 - as above

        complete(flags)
    arguments = flags.parse_args(argv)
    from webhook.operator.execute import execute  # noqa: PLC0415 - as above

    return execute(arguments)


def parser() -> argparse.ArgumentParser:
    """All commands and flags."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)  # before or after the command
    common.add_argument("--config.file", metavar="FILE", help="path of the config file (default: diego.yaml)")
    common.add_argument("--log.level", choices=LEVELS, help="lowest level of log messages on stderr (default: error)")
    made = argparse.ArgumentParser(
        prog="diego-runbook",
        description=_filled(
            "Execute the documented restart of the Diego BBS by hand, with the checks, guards, journal and lease of "
            "diego-webhook."
        ),
        epilog=f"""At night, for a foundation cf:
  diego-runbook check cf       what is wrong, and what the runbook would do
  diego-runbook watch cf       the state and the run in progress, as they change
  diego-runbook history cf     what diego-medic has done already
  diego-runbook run cf         execute the runbook, with all its guards
  diego-runbook explain cf     the steps by hand, with the kubectl commands

{_filled(_STATUS)}""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        parents=[common],
    )
    made.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands_of = made.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(
        name: str,
        text: str,
        *,
        example: str,
        foundation: str | None = None,
        formats: Sequence[str] = ("text", "json", "yaml"),
        exit_status: str = _READS,
    ) -> argparse.ArgumentParser:
        sub = commands_of.add_parser(
            name,
            help=text,
            description=_filled(f"{text[0].upper()}{text[1:]}."),
            epilog=f"Example:\n{textwrap.indent(example, '  ')}\n\n{_filled(f'Exit status: {exit_status}.')}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            parents=[common],
        )
        if foundation == "one":
            sub.add_argument("foundation", metavar="FOUNDATION", help="name of the foundation in the config file")
        elif foundation == "optional":
            text = "name of the foundation in the config file (default: all foundations)"
            sub.add_argument("foundation", metavar="FOUNDATION", nargs="?", help=text)
        if formats:
            text = f"output format (default: {formats[0]})"
            sub.add_argument("-o", "--output", choices=formats, default=formats[0], help=text)
        return sub

    command(
        "check",
        "diagnose foundations without changing anything",
        example="diego-runbook check\ndiego-runbook check cf -o json",
        foundation="optional",
        exit_status="0 healthy, 1 BBS proved unreachable, 3 unknown, 4 BBS reachable but something else is wrong",
    )
    run_ = command(
        "run",
        "execute the runbook now, with all its guards",
        example="diego-runbook run cf --observe\ndiego-runbook run cf",
        foundation="one",
        exit_status="0 recovered, not-needed or observed; 1 failed; 3 unproven, refused or cancelled",
    )
    run_.add_argument("--observe", action="store_true", help="report what a run would do, delete nothing")
    command(
        "watch",
        "show the state and the run in progress as they change",
        example="diego-runbook watch\ndiego-runbook watch cf | tee incident.log",
        foundation="optional",
        exit_status="0 after Ctrl-C or SIGTERM, which are its normal end",
    )
    command(
        "history",
        "list the runs in the journal, newest first",
        example="diego-runbook history\ndiego-runbook history cf -o json",
        foundation="optional",
    )
    show = command(
        "show",
        "print one run with its steps, pods and evidence",
        example="diego-runbook show cf-20261122t203716z-ef6c",
        exit_status=_OF_A_RUN,
    )
    show.add_argument("run", metavar="RUN", help="ID of the run, as `history` prints it")
    report = command(
        "report",
        "print a draft of a post-mortem of one run",
        example="diego-runbook report cf-20261122t203716z-ef6c >incident.md",
        formats=("markdown", "json", "yaml"),
        exit_status=_OF_A_RUN,
    )
    report.add_argument("run", metavar="RUN", help="ID of the run, as `history` prints it")
    pause = command(
        "pause",
        "suspend restarts until `resume`; monitoring continues",
        example='diego-runbook pause cf --reason "database migration until 14:00"',
        foundation="one",
    )
    pause.add_argument("--reason", required=True, help="why; printed by `check` and `history`")
    command(
        "resume",
        "end the pause; requests refused in the meantime are not replayed",
        example="diego-runbook resume cf",
        foundation="one",
    )
    command(
        "reset",
        "reset the circuit breaker, or replace a lost journal",
        example="diego-runbook reset cf",
        foundation="one",
    )
    approve = command(
        "approve",
        "approve a run that waits for approval (mode `approve`)",
        example="diego-runbook approve cf-20261122t203716z-ef6c",
        exit_status="0 approved, 2 no such run, 3 it does not wait, or the API server or the journal is unreachable",
    )
    approve.add_argument("run", metavar="RUN", help="ID of the run, as `history` prints it")
    command(
        "explain",
        "print the steps of the runbook with their kubectl commands",
        example="diego-runbook explain cf",
        foundation="optional",
        exit_status=_LOCAL,
    )
    rights = command(
        "manifests",
        "print the Roles that this config needs, for `kubectl apply -f -`",
        example="diego-runbook manifests --replicas 3 | kubectl apply -f -\n"
        "diego-runbook manifests cf --readers cf-oncall | kubectl apply -f -",
        foundation="optional",
        formats=("yaml", "json"),
        exit_status=_LOCAL,
    )
    rights.add_argument("--replicas", type=_count, default=2, metavar="N", help="pods of each StatefulSet (default: 2)")
    text = "namespace of the programs' service accounts (default: diego-medic)"
    rights.add_argument("--namespace", default="diego-medic", metavar="NAME", help=text)
    text = "also a Role for this group of people, who only read; may be given again"
    rights.add_argument("--readers", action="append", type=_group, default=[], metavar="GROUP", help=text)
    command(
        "schema",
        "print the JSON Schema of the config file, for editors",
        example="diego-runbook schema >diego.schema.json",
        formats=("json", "yaml"),
        exit_status="0 done, 2 usage error",
    )
    completion = command(
        "completion",
        "print the completion script for a shell",
        example="source <(diego-runbook completion bash)",
        formats=(),
        exit_status="0 done, 2 usage error",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    return made


def _filled(text: str) -> str:
    return textwrap.fill(text, _COLUMNS, break_on_hyphens=False)


def _group(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a group")
    return text


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
