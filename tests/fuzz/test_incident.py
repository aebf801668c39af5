"""A whole run whose answers are spoilt on their way: the medic goes on, and deletes and claims nothing for it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from random import Random

import pytest
from hypothesis import event, given, note

from exporter.kubernetes.transport import Response
from sandbox.cluster.programs import Outcome as Dialled
from sandbox.inprocess import InProcess
from sandbox.transport import InProcessTransport
from tests.support.foundations import BBS
from tests.support.fuzzing import damaged, mutated, play, randoms
from tests.support.incident import Program, alert, now, runs_of, working
from tests.support.inprocess import InProcessCluster, broken_foundation, healthy_foundation
from tests.support.scripted import STATUSES
from webhook.record.errors import JournalLostError
from webhook.record.journal import Outcome
from webhook.record.reasons import RunReason
from webhook.transport import Method

SPOILT = 60.0
"""Virtual seconds for which answers are spoilt."""
ENDED = 500.0
"""Virtual seconds within which a run must have ended."""


class SpoilingTransport(InProcessTransport):
    """What the sandbox answers, and one in some answers of another form. A request takes effect in any case."""

    def __init__(self, box: InProcess, random: Random) -> None:
        super().__init__(box)
        self._random = random
        self._share = random.choice((0.0, 0.02, 0.1, 0.4))
        self._exec_share = random.choice((0.0, 0.1, 0.5, 1.0))
        self.active = True

    def _strikes(self, share: float) -> bool:
        return self.active and self._random.random() < share

    async def get(self, path: str, query: Mapping[str, str]) -> Response:
        return self._spoilt(await super().get(path, query))

    async def send(self, method: Method, path: str, body: object, *, retry_unauthorized: bool = True) -> Response:
        return self._spoilt(await super().send(method, path, body, retry_unauthorized=retry_unauthorized))

    async def exec(self, path: str, query: list[tuple[str, str]]) -> AsyncGenerator[bytes, None]:
        """Frames that are missing, cut short or damaged, but none that another command would have printed."""
        async for frame in super().exec(path, query):
            if not self._strikes(self._exec_share):
                yield frame
            elif self._random.random() < 0.7:
                yield self._random.choice(
                    (b"", b"\x03{", b"\x03null", b"\xff", frame[:20], damaged(self._random, frame))
                )

    def _spoilt(self, answer: Response) -> Response:
        if not self._strikes(self._share):
            return answer
        random = self._random
        status = answer.status if random.random() < 0.6 else random.choice(STATUSES)
        body = answer.body
        if random.random() < 0.8:
            body = json.dumps(mutated(random, json.loads(body))).encode() if body[:1] == b"{" else body
        return Response(status, damaged(random, body) if random.random() < 0.3 else body, answer.date)


@given(randoms)
def test_a_medic_ends_its_run_and_neither_deletes_nor_claims_what_was_not_proved(random: Random) -> None:
    play(incident(random))


async def incident(random: Random) -> None:
    broken = random.random() < 0.6
    cluster = broken_foundation() if broken else healthy_foundation()
    program = Program(cluster)
    wire = SpoilingTransport(cluster, random)
    program.writer._transport = program.writer._writing = wire
    wire.active = False
    async with working(program):
        await alert(program)
        wire.active = True
        await over(cluster, within=SPOILT)
        wire.active = False
        if not await over(cluster, within=ENDED):
            # Another UID in an answer that is right otherwise was believed; a person has to look: `reset`.
            with pytest.raises(JournalLostError, match="was replaced"):
                await program.store.refresh()
            event("journal-lost")
            return
    run = runs_of(cluster)[-1]
    note(f"{run}\n{cluster.deletes}")
    event(f"{'broken' if broken else 'healthy'}: {run.outcome} {run.cause}")
    assert all(each.cause is not RunReason.INTERNAL_ERROR for each in runs_of(cluster)), "a defect"
    assert len({uid for _, uid in cluster.deletes}) == len(cluster.deletes), "a pod was deleted twice"
    if not broken:  # the BBS was reachable all the time, so that it is not was proved by nothing
        assert not cluster.deletes
        assert run.outcome in {Outcome.NOT_NEEDED, Outcome.UNPROVEN}
    if run.outcome is Outcome.RECOVERED:
        assert reachable(cluster), "recovered is claimed of a foundation that is not"


async def over(cluster: InProcessCluster, *, within: float) -> bool:
    """Whether the last run has ended within so many seconds."""
    until = now() + within
    while not settled(cluster) and now() < until:  # noqa: ASYNC110 - the time is virtual
        await asyncio.sleep(2)
    return settled(cluster)


def settled(cluster: InProcessCluster) -> bool:
    runs = runs_of(cluster)
    return bool(runs) and runs[-1].outcome is not None


def reachable(cluster: InProcessCluster) -> bool:
    cluster.catch_up()
    return all(cluster.cluster.network.dial(name, BBS, 8889).outcome is Dialled.OPEN for name in ("api-0", "api-1"))
