"""`python -m sandbox.simulation`: plays incidents; prints how many, how fast, and every violation with its replay."""

import argparse
import gc
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import Pool

from sandbox.simulation.faults import CALL_FAULTS, Plan
from sandbox.simulation.incident import Incident, Report

CHUNK, TASKS = 10, 12
"""Incidents in a chunk, and chunks of a worker process: no garbage is collected in it, a megabyte an incident."""


def main() -> int:
    """Exit status: 0 without a violation, 1 with one."""
    sys.unraisablehook = lambda _error: None  # coroutines of killed processes, when they are collected
    parser = argparse.ArgumentParser(prog="python -m sandbox.simulation", description=__doc__)
    parser.add_argument("--seeds", metavar="A-B", help="play random incidents with these seeds")
    parser.add_argument(
        "--single", action="store_true", help="every single fault at every call of the reference incident"
    )
    parser.add_argument("--pairs", type=int, metavar="N", help="N pairs of faults, spread evenly over all pairs")
    parser.add_argument("--seed", type=int, help="play one incident and print its time line")
    parser.add_argument("--fault", action="append", default=[], metavar="POINT:NAME", help="with --seed: this fault")
    parser.add_argument("--step", action="append", default=[], metavar="STEP:NAME", help="with --seed: at a callback")
    parser.add_argument("--no-faults", action="store_true", help="with --seed: the incident without any")
    parser.add_argument("--stop", action="store_true", help="stop at the first violation")
    parser.add_argument("--processes", type=int, default=1, help="worker processes (default: 1)")
    flags = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if flags.seed is not None:
        chosen, steps = _chosen(flags.fault), _chosen(flags.step)
        return _one(Plan(flags.seed, chosen, steps, random=not chosen and not steps and not flags.no_faults))
    if flags.single:
        return _many(_single(), flags.processes, stop=flags.stop)
    if flags.pairs:
        return _many(_pairs(flags.pairs), flags.processes, stop=flags.stop)
    first, _, last = (flags.seeds or "0-999").partition("-")
    plans = (Plan(seed) for seed in range(int(first), int(last or first) + 1))
    return _many(plans, flags.processes, stop=flags.stop)


def play(plan: Plan) -> Report:
    return Incident(plan).play()


def _chosen(faults: list[str]) -> dict[int, str]:
    return {int(point): name for point, _, name in (each.partition(":") for each in faults)}


def _single() -> Iterator[Plan]:
    for point in range(play(Plan(0, random=False)).calls):
        for name in CALL_FAULTS:
            yield Plan(0, {point: name}, random=False)


def _pairs(count: int) -> Iterator[Plan]:
    faults = [plan.chosen for plan in _single()]
    total = len(faults) * (len(faults) - 1) // 2
    step = max(1, total // count)
    number = 0
    for index, first in enumerate(faults):
        for second in faults[index + 1 :]:
            if number % step == 0 and first.keys() != second.keys():
                yield Plan(0, first | second, random=False)
            number += 1


def _one(plan: Plan) -> int:
    incident = Incident(plan)
    report = incident.play()
    for at, text in incident.lines():
        _print(f"{at:10.3f}  {text}")
    for violation in report.violations:
        _print(f"VIOLATION: {violation}")
    _print(f"outcomes: {', '.join(report.outcomes) or 'no run'}; {report.calls} calls, {report.steps} callbacks")
    return 1 if report.violations else 0


def _many(plans: Iterator[Plan], processes: int, *, stop: bool) -> int:
    began = time.perf_counter()
    outcomes: Counter[str] = Counter()
    faults = deletes = incidents = bad = 0
    with Pool(processes, initializer=_quiet, maxtasksperchild=TASKS) as pool:
        for report in pool.imap_unordered(play, plans, chunksize=CHUNK):
            incidents += 1
            outcomes.update(report.outcomes or ("no run",))
            faults += report.faults
            deletes += report.deletes
            if report.violations:
                bad += 1
                _print(f"VIOLATION: {report.violations[0]}\n  replay: python -m sandbox.simulation {report.plan}")
                if stop:
                    break
    seconds = time.perf_counter() - began
    shown = ", ".join(f"{name} {count}" for name, count in outcomes.most_common())
    _print(
        f"{incidents} incidents in {seconds:.0f} s ({incidents / seconds:.0f}/s), {faults} faults, {deletes} deletes"
    )
    _print(f"runs: {shown}")
    _print(f"incidents with a violation: {bad}")
    return 1 if bad else 0


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _quiet() -> None:
    gc.disable()
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda _error: None


if __name__ == "__main__":
    sys.exit(main())
