"""What goes wrong in a simulated incident, and when: by chance, or one chosen fault at one chosen point.

A choice point is a call to the API server that a process sends, or a callback that it runs. They are numbered in the
order in which they come, so that a plan (`{17: "crash-after"}`) plays the same incident again with one fault in it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from exporter.kubernetes.api import ApiUnreachableError
from exporter.kubernetes.transport import Response
from sandbox.simulation.loop import NEVER, Process, SimulatedLoop
from sandbox.simulation.settings import SceneName
from sandbox.transport import Mishap, Request

CALL_FAULTS = (
    "lost",  # never arrived
    "answer-lost",  # took effect, and the answer is lost
    "late",
    "very-late",
    "answer-late",  # took effect in time
    "twice",  # a proxy sends it again at once: the answer is that to the second
    "echo",  # it arrives once more, when it was answered long ago
    "hangs",
    "answer-hangs",  # took effect, and the answer never comes
    "503",
    "429",
    "gone",
    "conflict",
    "forbidden",
    "malformed",
    "answer-malformed",
    "crash-before",
    "crash-after",  # the request is on its way when the process dies
    "stop-before",
    "stop-after",
    "suspend-after",
)
STEP_FAULTS = ("crash", "stop", "suspend")
CHOSEN_STEP_FAULTS = ("crash", "stop-12", "stop-70")
"""Stopped for longer than a lease is trusted, and for longer than anything."""
STOPPED = (2.0, 8.0, 12.0, 17.0, 30.0, 70.0, 200.0)
"""Seconds for which a process is stopped: around every time-out that matters."""
SLOW = (20.0, 55.0)
"""Seconds that a request is on its way: until its sender has given up, or its sender's successor has the lease."""
FOCUSED = 0.6
"""How many random incidents are quiet but for a few ambushes: where all goes wrong, few runs get far."""

_ANSWERS = {"503": 503, "429": 429, "conflict": 409, "forbidden": 403, "gone": 410}
_CUT = ApiUnreachableError("Connection reset by peer")
_MALFORMED = (b'{"kind": "Pod", "metadata": {"name": "\xff\xfe"}}', b"[" * 5_000, b"<html>502</html>", b'"text"', b"")


@dataclass(frozen=True, slots=True)
class Plan:
    """Which faults an incident has. With `chosen` only those, else by chance."""

    seed: int
    chosen: dict[int, str] = field(default_factory=dict)
    """By the number of the call."""
    steps: dict[int, str] = field(default_factory=dict)
    """By the number of the callback."""
    scene: SceneName = "random"

    @property
    def random(self) -> bool:
        """Whether faults and events come by chance."""
        return self.scene == "random"

    def __str__(self) -> str:
        """The arguments that play it again."""
        faults = "".join(f" --fault {index}:{name}" for index, name in sorted(self.chosen.items()))
        faults += "".join(f" --step {index}:{name}" for index, name in sorted(self.steps.items()))
        return f"--seed {self.seed}" + ("" if self.random else f" --scene {self.scene}") + faults


class Faults:
    """Applies a plan. `trace` has what happened, with the time."""

    def __init__(self, plan: Plan, loop: SimulatedLoop, random: Random) -> None:
        self._plan = plan
        self.focused = plan.random and random.random() < FOCUSED
        self._loop = loop
        self._random = random
        rates, step_rates = ((0.0, 0.002), (0.0,)) if self.focused else ((0.0, 0.002, 0.01, 0.04), (0.0, 0.0002, 0.001))
        self._rate = random.choice(rates) if plan.random else 0.0
        self._step_rate = random.choice(step_rates) if plan.random else 0.0
        self.active = True
        self.forced: dict[str, list[str]] = {}
        """What goes wrong with the next calls of a kind."""
        self.refused: dict[str, float] = {}
        """Until when each call of a kind is answered with 503."""
        self.calls = 0
        self.used = 0
        self.crashed: Callable[[Process], None] = lambda _process: None
        """Called for each process that was killed."""
        self.skewed = False
        """Whether a clock was wrong after suspend."""
        self.late_until = 0.0
        """When the last call that is late arrives."""
        self.trace: list[tuple[float, str]] = []
        loop.on_step = self._on_step
        self._arm(0)

    def before_call(self, process: Process, request: Request) -> Mishap | None:
        """The mishap of a call; also stops or kills the process."""
        index = self.calls
        self.calls += 1
        name = self._plan.chosen.get(index)
        if name is None and self.active and self._random.random() < self._rate:
            name = self._random.choice(CALL_FAULTS)
        if name is None:
            forced = self.forced.get(request.call)
            name = forced.pop(0) if forced else None
        if name is None and self.active and self._loop.now < self.refused.get(request.call, 0.0):
            name = "503"
        if name is None:
            return None
        self._note(f"{process.name}: {name} at {request.call} {request.name}")
        return self._mishap(name, process)

    def _on_step(self, process: Process) -> None:
        """Before the callback at which the next step fault is due: the process is stopped or killed there."""
        index = self._loop.steps - 1
        name = self._plan.steps.get(index)
        if name is None and self.active:
            name = self._random.choice(STEP_FAULTS)
        self._arm(index + 1)
        if name is not None:
            self._note(f"{process.name}: {name}")
            self._hit(name, process)

    def _arm(self, first: int) -> None:
        """Sets the loop's alarm to the next step fault from a callback on."""
        if self._plan.steps:
            self._loop.alarm = min((index for index in self._plan.steps if index >= first), default=NEVER)
        elif self._step_rate:
            self._loop.alarm = first + int(math.log(1.0 - self._random.random()) / math.log(1.0 - self._step_rate))

    def _hit(self, name: str, process: Process) -> None:
        if name == "crash":
            self.crash(process)
        elif name.startswith("stop"):
            seconds = float(name.removeprefix("stop-")) if name != "stop" else self._random.choice(STOPPED)
            self._loop.stop_process(process, seconds)
        else:
            self._loop.suspend(process, self._random.choice(STOPPED))
            if self._random.random() < 0.3:  # its clock is wrong when it wakes up
                process.wall_offset += self._random.choice((-3600.0, -30.0, 30.0, 3600.0))
                self.skewed = True

    def crash(self, process: Process) -> None:
        """SIGKILL; an operating system starts it again."""
        if process.alive:
            self._loop.kill(process)
            self.crashed(process)

    def _echo(self, after: float) -> Mishap:
        self.late_until = max(self.late_until, self._loop.now + after)
        return Mishap(again=after)

    def _late(self, least: float, most: float) -> Mishap:
        delay = self._random.uniform(least, most)
        self.late_until = max(self.late_until, self._loop.now + delay)
        return Mishap(delay=delay)

    def _mishap(self, name: str, process: Process) -> Mishap | None:
        random = self._random
        if name in _ANSWERS:
            return Mishap(error=Response(_ANSWERS[name], _status(_ANSWERS[name])))
        simple: dict[str, Callable[[], Mishap]] = {
            "lost": lambda: Mishap(error=_CUT),
            "answer-lost": lambda: Mishap(error=_CUT, effective=True),
            "late": lambda: self._late(0.5, 4.0),
            "very-late": lambda: self._late(4.0, 40.0),
            "slow": lambda: self._late(*SLOW),
            "answer-late": lambda: Mishap(back=random.choice((3.0, 9.0, 12.0, 30.0))),
            "twice": lambda: Mishap(again=random.uniform(0.001, 0.1), second=True),
            "echo": lambda: self._echo(random.choice((0.5, 5.0, 20.0, 50.0))),
            "hangs": lambda: Mishap(hangs=True),
            "answer-hangs": lambda: Mishap(hangs=True, effective=True),
            "malformed": lambda: Mishap(error=Response(200, random.choice(_MALFORMED))),
            "answer-malformed": lambda: Mishap(error=Response(200, random.choice(_MALFORMED)), effective=True),
        }
        if name == "outlives":
            self._loop.call_soon_world(self._hit, "crash", process)
            return simple["slow"]()
        if name in simple:
            return simple[name]()
        if name == "crash-before":
            self._hit("crash", process)
            return Mishap(error=_CUT)
        if name == "stop-before":
            self._hit("stop", process)
            return Mishap(delay=max(0.0, process.stopped_until - self._loop.now))
        self._loop.call_soon_world(self._hit, name.removesuffix("-after"), process)
        return None

    def _note(self, text: str) -> None:
        self.used += 1
        self.trace.append((self._loop.now, text))


def _status(code: int) -> bytes:
    return b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Simulated","code":%d}' % code
