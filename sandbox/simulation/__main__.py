"""`python -m sandbox.simulation`: plays incidents; prints how many, how fast, and every violation with its replay."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations, islice
from multiprocessing import Pool
from typing import get_args

from sandbox.simulation.faults import CALL_FAULTS, CHOSEN_STEP_FAULTS, Plan
from sandbox.simulation.incident import Incident
from sandbox.simulation.settings import SceneName
from sandbox.simulation.worker import begin, play, quiet

CHUNK, TASKS = 10, 12
"""Incidents in a chunk, and chunks of a worker process: no garbage is collected in it, a megabyte an incident."""


def main() -> int:
    """Exit status: 0 without a violation, 1 with one."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.simulation", description=__doc__)
    parser.add_argument("--seeds", metavar="A-B", help="play random incidents with these seeds")
    parser.add_argument("--single", action="store_true", help="every single fault at every call and callback")
    parser.add_argument("--pairs", type=int, metavar="N", help="N pairs of faults, spread evenly over all pairs")
    parser.add_argument("--part", metavar="A-B", help="of --single and --pairs: only these, counted from 0")
    parser.add_argument("--scene", choices=get_args(SceneName), help="of --single, --pairs and --seed")
    parser.add_argument("--seed", type=int, help="play one incident and print its time line")
    parser.add_argument("--fault", action="append", default=[], metavar="CALL:NAME", help="with --seed: this fault")
    parser.add_argument("--step", action="append", default=[], metavar="CALLBACK:NAME", help="with --seed: this fault")
    parser.add_argument("--stop", action="store_true", help="stop at the first violation")
    parser.add_argument("--processes", type=int, default=1, help="worker processes (default: 1)")
    flags = parser.parse_args()
    quiet()
    if flags.seed is not None:
        return _one(Plan(flags.seed, _chosen(flags.fault), _chosen(flags.step), scene=flags.scene or "random"))
    if flags.single:
        plans = _part(_single(flags.scene or "reference"), flags.part)
    elif flags.pairs:
        plans = _part(_pairs(flags.scene or "shortest", flags.pairs), flags.part)
    else:
        first, last = _range(flags.seeds or "0-999")
        plans = (Plan(seed) for seed in range(first, last + 1))
    return _many(plans, flags.processes, stop=flags.stop)


def _chosen(faults: list[str]) -> dict[int, str]:
    return {int(point): name for point, _, name in (each.partition(":") for each in faults)}


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _part(plans: Iterable[Plan], part: str | None) -> Iterator[Plan]:
    first, last = _range(part) if part else (0, None)
    return islice(plans, first, None if last is None else last + 1)


def _single(scene: SceneName) -> list[Plan]:
    """Every fault at every choice point of a scene: a call that is sent, or a callback that runs."""
    undisturbed = play(Plan(0, scene=scene))
    calls = [Plan(0, {point: name}, scene=scene) for point in range(undisturbed.calls) for name in CALL_FAULTS]
    steps = range(undisturbed.steps)
    return calls + [Plan(0, steps={point: name}, scene=scene) for point in steps for name in CHOSEN_STEP_FAULTS]


def _pairs(scene: SceneName, count: int) -> Iterator[Plan]:
    """As many pairs of faults at two choice points, spread evenly over all of them."""
    pairs = combinations(_single(scene), 2)
    apart = ((a, b) for a, b in pairs if not a.chosen.keys() & b.chosen.keys() and not a.steps.keys() & b.steps.keys())
    singles = len(_single(scene))
    step = max(1, singles * (singles - 1) // 2 // count)
    for first, second in islice(apart, 0, None, step):
        yield Plan(0, first.chosen | second.chosen, first.steps | second.steps, scene=scene)


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
    with Pool(processes, initializer=begin, maxtasksperchild=TASKS) as pool:
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


if __name__ == "__main__":
    sys.exit(main())
