"""Writes docs/fault-matrix.md from the results."""

from collections.abc import Iterable, Mapping, Sequence

from tests.matrix.cell import Cell, Result
from tests.matrix.faults import FAULTS, STOPPED, Fault, Holder
from tests.matrix.table import CELLS

_HOLDER = {
    Holder.KILLED: "killed",
    Holder.STOPPED: f"stopped for {STOPPED:g} s",
    Holder.LIVES: "lives",
}
_INTRO = """\
# The fault matrix

Written by `make fault-matrix`: the incident of the [runbook](runbook.md) on a real Kubernetes, with two webhooks, and a
fault at each moment of a run. Each moment is a request of the webhook that holds the lease. There this process is
killed (SIGKILL), stopped (SIGSTOP) or left alive, and something else breaks. A killed process is started again after
3 s, as a Deployment does; it and the other one take the lease when it has not been renewed for 6 s. The time-outs of
the lease and of one DELETE are shortened (`tests/support/fast_webhook.py`), all else is the product.

A cell fails if its last run ends otherwise than its fault allows (`tests/matrix/faults.py`), or if the API server's
audit log and the journal show one of these (`tests/matrix/judge.py`):

- a pod is deleted that was not there when the incident began, or one is deleted twice;
- a DELETE without its UID as precondition, or without an intent that is on record before it;
- two runs are open at the same time, or a run has no end;
- `recovered` or `not-needed`, and an api pod does not reach the BBS;
- the record of a pod is not what happened to it;
- a process logs a traceback, or does not exit with 0 on SIGTERM.

"""
_LEGEND = """\

*Holder* is the process at the crash point; *successor* is any other process, also the one that is started in its place.
Which pods were deleted, and by whom, is read from the audit log. The time is from the fault to the end of the last run.
"""


def render(results: Mapping[str, Result], *, kubernetes: str = "") -> str:
    """The page; `results` by the key of their cells. `kubernetes`: its version, if not as the API server has it."""
    played = [cell for cell in CELLS if cell.key in results]
    found = [results[cell.key] for cell in played]
    parts = [_INTRO, _summary(found, kubernetes), _overview(played, results), _LEGEND]
    parts += [_section(fault, [cell for cell in played if cell.fault is fault], results) for fault in FAULTS]
    return "".join(parts)


def _summary(found: Sequence[Result], kubernetes: str) -> str:
    failed = sum(bool(result.violations) for result in found)
    days = sorted({result.day for result in found})
    version = kubernetes or ", ".join(sorted({result.kubernetes for result in found}))
    when = " to ".join(dict.fromkeys((days[0], days[-1])))
    rest = "" if len(found) == len(CELLS) else " The cells that were not played are not listed."
    return f"**{len(found)} of {len(CELLS)} cells played, {failed} failed.** Kubernetes {version}, {when}.{rest}\n\n"


def _overview(cells: Sequence[Cell], results: Mapping[str, Result]) -> str:
    rows = []
    for fault in FAULTS:
        found = [results[cell.key] for cell in cells if cell.fault is fault]
        if found:
            ends = _counted(result.outcomes[-1].split()[0] if result.outcomes else "none" for result in found)
            seconds = sorted(result.seconds for result in found)
            median, longest = seconds[len(seconds) // 2], seconds[-1]
            row = (fault.text, _HOLDER[fault.holder], len(found), ends, f"{median:.0f} s", f"{longest:.0f} s")
            rows.append(_row(row))
    head = _head("fault", "holder", "cells", "last outcome", "median", "longest")
    return f"{head}{''.join(rows)}"


def _section(fault: Fault, cells: Sequence[Cell], results: Mapping[str, Result]) -> str:
    if not cells:
        return ""
    rows = []
    for cell in cells:
        result = results[cell.key]
        ends = ", then ".join(f"`{outcome}`" for outcome in result.outcomes)
        broken = f" **{'; '.join(result.violations)}**" if result.violations else ""
        rows.append(_row((cell.point.text, ends + broken, _pods(result), f"{result.seconds:.0f} s")))
    title = f"\n## {fault.text[0].upper()}{fault.text[1:]}; the holder is {_HOLDER[fault.holder]}\n\n"
    title = title.replace("is lives", "lives")
    return title + _head("crash point", "outcome", "pods deleted", "time") + "".join(rows)


def _pods(result: Result) -> str:
    said = [f"{name.removeprefix('diego-api-')}: {by}" for name, by in sorted(result.deleted.items())]
    said += [f"{name.removeprefix('diego-api-')}: spared" for name in result.spared]
    return ", ".join(sorted(said)) or "none"


def _counted(words: Iterable[str]) -> str:
    listed = list(words)
    return ", ".join(f"{listed.count(word)} `{word}`" for word in sorted(set(listed)))


def _head(*names: str) -> str:
    return _row(names) + _row(["---"] * len(names))


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |\n"
