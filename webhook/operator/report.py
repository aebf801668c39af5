"""What `check` prints: lines of plain text, and the same for a terminal."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from exporter.clock import utc
from exporter.config.model import Foundation
from exporter.config.remediation import Mode
from exporter.foundation.assess import leaders, serving
from exporter.foundation.findings import listens, state
from webhook.operator.check_advice import after_check
from webhook.operator.checkup import Checkup
from webhook.operator.command_context import ExitCode
from webhook.operator.lines import SYMBOLS, Line
from webhook.operator.run_report import summary
from webhook.record.journal import later
from webhook.requests.decision import DecisionKind
from webhook.status.waits import Wait

_WIDTH = 18
_WORDS = {ExitCode.OK: "healthy", ExitCode.FAILED: "BBS unreachable", ExitCode.DEGRADED: "reachable, but degraded"}
_KINDS = {ExitCode.OK: "good", ExitCode.FAILED: "bad", ExitCode.DEGRADED: "needs"}


def checkup_lines(checkup: Checkup) -> list[str]:
    """The diagnosis: what is wrong, how it is known, and what the procedure would do."""
    foundation = checkup.foundation
    where = f"foundation {foundation.name} (namespace {foundation.namespace}, profile {foundation.profile})"
    headline = {
        True: "the Cloud Controller reaches the BBS",
        False: "the Cloud Controller can NOT reach the BBS",
        None: "whether the Cloud Controller reaches the BBS is UNKNOWN",
    }[checkup.reachable]
    lines = [f"{where}: {headline}", ""]
    lines += [_row("trouble", text) for text in checkup.trouble]
    lines += _asked(checkup)
    lines += _seen(checkup)
    lines += _journal(checkup)
    if checkup.lacking:
        lines.append(_row("missing permission", "; ".join(map(str, checkup.lacking))))
    lines.append("")
    lines += [f"finding {finding.name}: {finding.text}" for finding in checkup.findings]
    lines.append(f"=> {would_do(checkup)}")
    if advice := after_check(checkup):
        lines.append(f"next: {advice}")
    return lines


def checkup_summary(found: Sequence[Checkup]) -> list[str]:
    """A line for each foundation, for who checked several."""
    width = max(len(each.foundation.name) for each in found)
    return [f"{each.foundation.name:<{width}}  {_WORDS.get(each.exit_code, 'unknown')}" for each in found]


def drawn(found: Sequence[Checkup]) -> list[Line]:
    """The same for a terminal: with symbols and colours."""
    lines = [line for each in found for line in (*_drawn(each), Line(""))]
    if len(found) > 1:
        lines += [_judged(each, text) for each, text in zip(found, checkup_summary(found), strict=True)]
    return lines if len(found) > 1 else lines[:-1]


def in_progress(foundation: Foundation, unreachable: Sequence[datetime], now: datetime) -> Line:
    """What `check` waits for: the attempts that follow those which found the BBS unreachable, at these moments."""
    confirm, lead = foundation.remediation.confirm, f"{SYMBOLS['busy']} {foundation.name}  "
    if not unreachable:
        return Line("reads, and asks from inside the Cloud Controller", lead, "busy")
    until = later(unreachable[0], timedelta(seconds=(confirm.attempts - 1) * confirm.interval))
    wait = Wait(attempted(foundation, len(unreachable)), unreachable[0], until, firm=False)
    return Line(f"{wait.left(now)}; {wait.text}", lead, "busy", share=wait.share(now))


def attempted(foundation: Foundation, attempts: int) -> str:
    confirm = foundation.remediation.confirm
    return f"unreachable, attempt {attempts} of {confirm.attempts}; next in {confirm.interval:g} s"


def examined(checkup: Checkup) -> Line:
    """A foundation of which all is known that `check` asks."""
    return _judged(checkup, f"{checkup.foundation.name}  {_WORDS.get(checkup.exit_code, 'unknown')}")


def _judged(checkup: Checkup, text: str) -> Line:
    kind = _KINDS.get(checkup.exit_code, "unknown")
    return Line(text, f"{SYMBOLS[kind]} ", kind, "strong")


def _drawn(checkup: Checkup) -> Iterable[Line]:
    head, *rest = checkup_lines(checkup)
    yield _judged(checkup, head)
    for text in rest:
        name, colon, said = text.partition(":")
        if name.startswith("finding "):
            yield Line(said, name + colon, "needs")
        elif text.startswith(("  trouble ", "  missing permission ")):
            yield Line(text[_WIDTH + 2 :], text[: _WIDTH + 2], "needs")
        else:
            yield Line(text, tone="strong" if text.startswith(("=>", "next:")) else "")


def _row(name: str, text: str) -> str:
    return f"  {name:<{_WIDTH}} {text}"


def _asked(checkup: Checkup) -> list[str]:
    if not checkup.attempts:
        return []
    times = f" ({len(checkup.attempts)} times)" if len(checkup.attempts) > 1 else ""
    return [_row(f"asked in {answer.pod}{times}", answer.probe.detail) for answer in checkup.attempts[-1].answers]


def _seen(checkup: Checkup) -> list[str]:
    view, foundation = checkup.view, checkup.foundation
    if view is None:
        return []
    lines = []
    for name in foundation.cloud_controller.statefulset:
        pods = view.components[name].pods
        lines.append(
            _row("cloud controller", ", ".join(f"{pod.name} {state(pod)}" for pod in pods) or f"no {name} pod")
        )
    active = leaders(view, foundation)
    for name in foundation.diego_api.statefulset:
        for pod in view.components[name].pods:
            label = "labelled active" if pod in active else "not labelled active"
            said = f"{listens(view, pod, foundation, now=checkup.at)} on port {foundation.bbs.port}"
            lines.append(_row(pod.name, f"{state(pod)}, {label}, {said}"))
    if view.service is not None and view.endpoints is not None:
        ready = ", ".join(view.endpoints.ready_addresses) or "none"
        lines.append(_row("service", f"{view.service.metadata.name}, ready endpoints: {ready}"))
    if view.bbs.last is not None:
        lines.append(_row("probe from here", f"{view.bbs.last.result} ({view.bbs.last.detail or 'connected'})"))
    if foundation.database is not None and view.database.last is not None:
        lines.append(_row("locket's database", f"{view.database.last.result}"))
    if foundation.locket is not None and view.locket.last is not None:
        lines.append(_row("locket", f"{view.locket.last.result}"))
    return lines


def _journal(checkup: Checkup) -> list[str]:
    journal = checkup.journal
    if journal is None:
        return []
    said = [f"mode {checkup.foundation.remediation.mode or 'not set'}"]
    if journal.paused is not None:
        said.append(f"PAUSED by {journal.paused.by} since {utc(journal.paused.at)}: {journal.paused.reason}")
    if journal.breaker_opened is not None:
        said.append(f"BREAKER OPEN since {utc(journal.breaker_opened)}")
    if journal.request is not None:
        said.append(f"a request is queued until {utc(journal.request.due)}")
    last = journal.runs[-1] if journal.runs else None
    said.append(f"last run {summary(last)}" if last else "no run yet")
    return [_row("remediation", ", ".join(said))]


def would_do(checkup: Checkup) -> str:
    """What the runbook would do now."""
    foundation = checkup.foundation
    if checkup.reachable is None:
        why = (checkup.attempts[-1].reason or "flapping") if checkup.attempts else "no api pod could be asked"
        return f"the runbook would do nothing: unknown is no reason to delete a pod ({why})"
    if checkup.reachable:
        accepting = serving(checkup.view, foundation, now=checkup.at) if checkup.view else None
        if accepting is not None and len(accepting.pods) > 1:
            return "the runbook would not restart anything: more than one BBS serves, and a person must decide"
        if checkup.sound:
            return "nothing to do"
        return "the runbook would not restart anything: the BBS is reachable"
    decision = checkup.decision
    if decision is not None and decision.kind is not DecisionKind.RUN:
        return f"the runbook would not start ({decision.reason}): {decision.text}"
    if checkup.guard is not None:
        return f"the runbook would refuse ({checkup.guard.reason}): {checkup.guard.detail}"
    pods = [
        pod.name
        for name in foundation.restart
        if checkup.view is not None and name in checkup.view.components
        for pod in checkup.view.components[name].pods
        if not pod.terminating
    ]
    restart = f"delete {', '.join(pods)}, wait for the new pods, and verify"
    if foundation.remediation.mode in {None, Mode.OBSERVE}:
        mode = "mode `observe`" if foundation.remediation.mode else "no mode set"
        return f"with {mode} the runbook would delete nothing; in mode `auto` it would {restart}"
    return f"the runbook would {restart}"
