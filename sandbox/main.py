"""`diego-sandbox`: a foundation in a box, to break and to see repaired; everything on loopback, nothing left behind."""

import argparse
import asyncio
import json
import signal
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from exporter.clock import SystemClock
from sandbox.demo.children import ChildDiedError
from sandbox.demo.incident import RECOVERY_DEADLINE, Observer, break_and_recover
from sandbox.demo.stage import USER, Stage, StartError
from sandbox.demo.timeline import Timeline

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. 0: repaired, or ended by the user; 1: not repaired; 2: wrong usage; 130: interrupted."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "fault":
        name, argument = arguments.name, " ".join(arguments.argument)
        path = f"/fault/{urllib.parse.quote(name)}?{urllib.parse.urlencode({'argument': argument})}"
        return _control(arguments.control, path, method="POST")
    if arguments.command in ("faults", "state"):
        return _control(arguments.control, f"/{arguments.command}", method="GET")
    try:
        return asyncio.run(_run(once=arguments.once, report=arguments.report, real=arguments.real))
    except (StartError, ChildDiedError, OSError) as error:
        print(f"diego-sandbox: {error}", file=sys.stderr)  # noqa: T201 - a command line talks
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="diego-sandbox", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('diego-medic')}")
    parser.add_argument("--once", action="store_true", help="break it, wait until it is repaired, print the time line")
    parser.add_argument("--report", type=Path, metavar="FILE", help="with --once: write the report there, as JSON")
    sender = parser.add_mutually_exclusive_group()
    sender.add_argument("--real", action="store_true", default=None, help="insist on Prometheus and Alertmanager")
    sender.add_argument("--stand-in", dest="real", action="store_false", help="do without them")
    commands = parser.add_subparsers(dest="command", title="commands for a sandbox that runs")
    fault = commands.add_parser("fault", help="break or mend something")
    fault.add_argument("name")
    fault.add_argument("argument", nargs="*")
    others = [commands.add_parser("faults", help="the names of all faults")]
    others.append(commands.add_parser("state", help="what is up and what is broken"))
    for command in (fault, *others):
        command.add_argument("--control", required=True, metavar="URL", help="as the sandbox has printed it")
    return parser


def _say(text: str = "") -> None:
    print(text, flush=True)  # noqa: T201 - a command line talks


def _control(url: str, path: str, *, method: str) -> int:
    request = urllib.request.Request(url.rstrip("/") + path, method=method)  # noqa: S310 - the user's own URL
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - the user's own URL
            _say(_readable(json.load(response)))
    except urllib.error.HTTPError as error:
        print(_readable(json.load(error)), file=sys.stderr)  # noqa: T201 - a command line talks
        return 1
    except (OSError, ValueError) as error:
        print(f"diego-sandbox: {url}: {error}", file=sys.stderr)  # noqa: T201 - a command line talks
        return 1
    return 0


def _readable(document: Any) -> str:
    """An answer of the control endpoint, for people: names, or pods and faults."""
    if isinstance(document, list):
        return "\n".join(document)
    if "error" in document:
        return f"{document['error']}\nthe faults: {', '.join(document['faults'])}"
    lines = [_pod_line(pod) for pod in document["pods"]]
    service = document["service"]
    lines.append(f"service {service['name']}: endpoints {', '.join(service['endpoints']) or 'none'}")
    broken = [f"{name}={value}" for name, value in document["faults"].items() if value]
    lines.append(f"faults: {', '.join(broken) or 'none'}")
    return "\n".join(lines)


def _pod_line(pod: dict[str, Any]) -> str:
    marks = [mark for mark in ("terminating", "serving", "wedged") if pod[mark]]
    active = [] if pod["active"] is None else [f"active={pod['active']}"]
    return f"{pod['name']:<14} {pod['ready']} {pod['ip'] or '-':<15} {' '.join(active + marks)}".rstrip()


async def _run(*, once: bool, report: Path | None, real: bool | None) -> int:
    """Until it is repaired, or until somebody ends it."""
    this = asyncio.current_task()
    assert this is not None  # noqa: S101 - asyncio.run has made one
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, this.cancel)
    try:
        _say("Starting a foundation in a box …")
        async with Stage(real=real) as stage:
            _introduce(stage)
            return await (_once(stage, report) if once else _stay(stage))
    except asyncio.CancelledError:
        _say("\nEnded; nothing is left behind.")
        return INTERRUPTED if once else 0


def _introduce(stage: Stage) -> None:
    _say(f"\n  Kubernetes API  {stage.box.url}  (kubeconfig: {stage.box.kubeconfig})")
    _say(f"  exporter        {stage.exporter}/metrics")
    _say(f"  webhook         {stage.webhook}/alerts  (bearer token: {stage.token_file})")
    _say(f"  status page     {stage.webhook}/  (user {USER}, password {stage.password})")
    for name, url in stage.sender.addresses.items():
        _say(f"  {name:<15} {url}")
    _say(f"  control         {stage.control.url}")
    _say(f"\nNotifications come from {stage.sender.name}.")


async def _once(stage: Stage, report: Path | None) -> int:
    timeline = Timeline(SystemClock(), tell=_say)
    observer = Observer(stage, timeline)
    _say("\nBreaking the foundation. Nobody intervenes from here on.\n")
    trouble = ""
    try:
        await break_and_recover(observer)
    except TimeoutError:
        trouble = f"not within {RECOVERY_DEADLINE:.0f} s\nThe ends of the logs:\n{stage.children.tails()}"
    except ChildDiedError as error:
        trouble = str(error)
    run = observer.run
    outcome = run["outcome"] if run else None
    if not trouble and outcome != "recovered":
        trouble = f"the run's outcome is {outcome}\nThe ends of the logs:\n{stage.children.tails()}"
    if report is not None:
        document = {"outcome": outcome, "healed": not trouble, "run": run, "sender": stage.sender.name}
        report.write_text(json.dumps(document | {"timeline": timeline.report}, indent=2) + "\n")  # noqa: ASYNC240 - small, last
    if trouble:
        _say(f"\nNot repaired: {trouble}")
        return 1
    _say(f"\nRepaired: all alerts are resolved {timeline.moments[-1].seconds:.0f} s after the break.")
    return 0


async def _stay(stage: Stage) -> int:
    control = f"--control {stage.control.url}"
    _say("\nBreak it from another terminal, and mend what broke it; what happens is told here:")
    _say(f"  diego-sandbox fault locket-db-down {control}")
    _say(f"  diego-sandbox fault locket-db-up {control}")
    _say(f"  diego-sandbox faults {control}           # all others")
    _say(f"  diego-sandbox state {control}")
    _say("Look as an operator does:")
    _say(f"  diego-runbook check cf --config.file={stage.config_file}")
    _say("Ctrl-C ends it.\n")
    timeline = Timeline(SystemClock(), tell=_say)
    await Observer(stage, timeline).watch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
