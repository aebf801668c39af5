"""Plays one cell: an incident on the real cluster, a fault at a crash point, and what came of it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from tests.cluster.conftest import ACTIVE, BBS_HOST, Cf
from tests.matrix.faults import Fault, Holder, Scene, finalizers
from tests.matrix.gate import Ambush, Gate
from tests.matrix.judge import broken, deletions
from tests.matrix.pair import Replica, replicas
from tests.matrix.points import Json, Point
from tests.matrix.tail import Tail
from tests.support.audit import JOURNAL
from tests.support.incidents import alert, notification
from tests.support.programs import Webhook, until

FINAL = 150.0
"""Seconds after the fault within which a run must have its final outcome."""
AFTERWARDS = 1.5
"""Seconds for what a process that was stopped, or lost its lease, may still do."""
REMEDIATION: Json = {
    "confirm": {"attempts": 2, "interval": "1s"},
    "verify": {"attempts": 2, "interval": "1s", "timeout": "20s"},
}


class Cell(NamedTuple):
    point: Point
    fault: Fault

    @property
    def key(self) -> str:
        return f"{self.fault.key}/{self.point.key}"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One cell as it was played. `deleted`: who deleted the pod, by its name. `seconds`: from the fault to the end."""

    cell: str
    outcomes: list[str]
    deleted: dict[str, str]
    spared: list[str]
    seconds: float
    whole: float
    violations: list[str]
    kubernetes: str
    day: str


async def play(cell: Cell, cluster: Tail, folder: Path) -> Result:
    """Raises AssertionError where the incident could not be staged; what the webhooks did wrong is in the result."""
    started = time.monotonic()
    async with Cf(cluster, folder) as cf:
        await cf.until_settled()
        cf.originals = await cf.uids()
        result = None
        try:
            result = await _play(cell, cf, started)
        finally:
            try:
                await _mend(cf, cell)
            except Exception:
                if result is None:
                    raise  # else the cell has its result, and the next one notices
        return result


async def _play(cell: Cell, cf: Cf, started: float) -> Result:
    point, fault = cell
    struck: asyncio.Future[Scene] = asyncio.get_running_loop().create_future()
    hit_at = 0.0

    async def strike(gate: Gate) -> None:
        nonlocal hit_at
        hit_at = time.monotonic()
        holder, other = (first, second) if gate is first.gate else (second, first)
        scene = Scene(cf, ambush, holder, other)
        victim.append(gate.agent)
        if fault.holder is Holder.KILLED:
            holder.kill()
        try:
            await fault.inject(scene)
        except BaseException as error:  # whatever it is: who waits for the fault must not wait for ever
            struck.set_exception(error)
            raise
        struck.set_result(scene)

    victim: list[str] = []
    ambush = Ambush(point, strike)
    remediation = REMEDIATION | {"await_ready": {"timeout": fault.patience}, "retry": fault.retry}
    async with replicas(cf, ambush, remediation) as (first, second):
        await asyncio.gather(first.start(), second.start(), _break(cf))
        await until(partial(_notified, second.webhook), what="a notification on record", every=1.0)
        scene = await asyncio.wait_for(struck, 60)
        runs, violations = await _final(cf, fault.allowed(point), fault.passing)
        ended = time.monotonic()
        await asyncio.gather(*scene.later)
        violations += scene.wrong
        if runs and runs[-1]["outcome"] in {"recovered", "not-needed"}:
            violations += [f"{pod} does not reach the BBS" for pod in ("api-0", "api-1") if not await _reaches(cf, pod)]
        await asyncio.sleep(AFTERWARDS)
        await asyncio.gather(first.end(), second.end())
        violations += first.failures + second.failures
        runs = await _runs(cf) or []
        events = cf.asked_by("diego-webhook")
        violations += broken(events, originals=cf.originals, runs=runs)
        _keep(cf.folder, runs, (first, second))
    by = {each.pod: "holder" if each.by == victim[0] else "successor" for each in deletions(events)}
    return Result(
        cell=cell.key,
        outcomes=[_outcome(run) for run in runs],
        deleted=by,
        spared=sorted({pod["name"] for run in runs for pod in run["pods"] if pod["state"] == "spared"}),
        seconds=round(ended - hit_at, 1),
        whole=round(time.monotonic() - started, 1),
        violations=violations,
        kubernetes=(await cf.found("/version"))["gitVersion"],
        day=time.strftime("%Y-%m-%d", time.gmtime()),
    )


async def _break(cf: Cf) -> None:
    """The lock database goes away and comes back; the readiness probes have noticed that no BBS listens."""
    await cf.fault("locket-db-down")
    await until(cf.wedged, what="both BBS to be wedged", every=0.2)
    await cf.fault("locket-db-up")

    async def passive() -> bool:
        return all(pod["metadata"]["labels"].get(ACTIVE) == "false" for pod in await cf.pods())

    await until(passive, what="no pod to be labelled active", every=0.2)


async def _notified(webhook: Webhook) -> bool:
    """Whether a notification is on record; one that is not (503) is sent again, as Alertmanager does."""
    status, said = await webhook.notify(notification(alert()))
    assert status in {202, 503}, f"{status} {said}\n{webhook.text}"
    return status == 202


async def _final(cf: Cf, allowed: frozenset[str], passing: frozenset[str]) -> tuple[list[Json], list[str]]:
    """Waits until the newest run has ended as it may, and returns the runs, and what is wrong with that."""
    deadline = time.monotonic() + FINAL
    runs: list[Json] = []
    while time.monotonic() < deadline:
        runs = await _runs(cf) or runs
        if runs and all(run["outcome"] for run in runs):
            ends = [_outcome(run) for run in runs]
            wrong = [f"a run ended as {end}" for end in ends[:-1] if not _among(end, passing)]
            if _among(ends[-1], allowed):
                return runs, wrong
            if not _among(ends[-1], passing):
                return runs, [*wrong, f"the run ended as {ends[-1]}: {runs[-1]['detail']}"]
        await asyncio.sleep(0.2)
    return runs, [f"no final outcome within {FINAL:g} s"]


def _outcome(run: Json) -> str:
    """The outcome, and its reason with the place."""
    return f"{run['outcome'] or 'open'} {run['reason']}".strip()


def _among(end: str, permitted: frozenset[str]) -> bool:
    """Whether the outcome, or the outcome and the reason without its place, are permitted."""
    words = end.split()
    return words[0] in permitted or " ".join(words[:2]) in permitted


async def _runs(cf: Cf) -> list[Json] | None:
    """The runs on record, oldest first; None where the API server does not answer."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(3):
            answer = await cf.get(f"{cf.core}/configmaps/{JOURNAL}")
        if answer.code == 200:
            found: list[Json] = msgspec.json.decode(answer.json["data"]["journal.json"])["runs"]
            return found
    return None


async def _reaches(cf: Cf, pod: str) -> bool:
    argv = ("timeout", "3", "bash", "-c", f"exec 3<>/dev/tcp/{BBS_HOST}/8889")
    return (await cf.exec(f"{cf.core}/pods/{pod}", argv, container="api")).code == 0


def _keep(folder: Path, runs: Sequence[Json], both: Sequence[Replica]) -> None:
    (folder / "runs.json").write_bytes(msgspec.json.format(msgspec.json.encode(runs)))
    for replica in both:
        (folder / f"{replica.gate.name}.log").write_text(replica.webhook.text)


async def _mend(cf: Cf, cell: Cell) -> None:
    """Undoes the fault, restarts the pods that are wedged or were restarted inside, and forgets the runs."""
    await cf.clear()
    for pod in await cf.pods():
        if "finalizers" in pod["metadata"]:
            await finalizers(cf, pod["metadata"]["name"], [])
    if cell.fault.key == "database" or set((await cf.uids()).values()) & set(cf.originals.values()):
        await cf.restart()
    await cf.until_settled()
