"""The faults, each injected at a crash point: what happens to the process there, what else breaks, what may come of it.

The process that is at the crash point (`Holder`) is killed and started again three seconds later, or is stopped and
continued, or lives. The other one takes the lease when it is free.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from tests.cluster.conftest import Cf
from tests.matrix.gate import Ambush
from tests.matrix.pair import Replica
from tests.matrix.points import Json, Point
from tests.support.audit import JOURNAL
from tests.support.incidents import alert, notification
from tests.support.rawkube import MERGE

HANGS = 9.0
"""Seconds for which the API server hangs or refuses: longer than the lease (6 s) and than the longest delete (2 s)."""
STOPPED = 12.0
"""Seconds for which the process is stopped: the other one has the lease by then, and is at work."""
STORM = 200
"""Notifications, with different group keys."""


class Holder(StrEnum):
    KILLED = "killed"
    STOPPED = "stopped"
    LIVES = "lives"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault may reach. `later` are tasks that end the fault, and `wrong` is what they find; the cell waits."""

    cf: Cf
    ambush: Ambush
    holder: Replica
    other: Replica
    later: list[asyncio.Task[None]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def after(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            await work()

        self.later.append(asyncio.create_task(wait()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """`early`, `amid` and `late`: how the last run may end where 0, 1 or 2 pods were deleted before the fault.

    An outcome, or an outcome and its reason. `passing`: how an earlier run of the same cell may end. `wedges`: a person
    must restart the pods afterwards. `latest`: the last crash point where the fault still says something.
    """

    key: str
    text: str
    holder: Holder = Holder.KILLED
    inject: Callable[[Scene], Awaitable[None]]
    early: frozenset[str] = frozenset({"recovered"})
    amid: frozenset[str] = frozenset({"recovered"})
    late: frozenset[str] = frozenset({"recovered"})
    passing: frozenset[str] = frozenset()
    patience: str = "120s"
    """`await_ready.timeout`: short where new pods never become ready, and longer than a kubelet takes to end a pod."""
    retry: str = "1s"
    latest: int = 2
    """Not at crash points where more pods than this were deleted."""

    def allowed(self, point: Point) -> frozenset[str]:
        return (self.early, self.amid, self.late)[point.deleted]

    def applies(self, point: Point) -> bool:
        return point.deleted <= self.latest


async def _nothing(_scene: Scene) -> None:
    pass


async def _hang(scene: Scene) -> None:
    await scene.cf.fault("api-hang")
    scene.after(HANGS, lambda: scene.cf.fault("api-resume"))


async def _kill_the_api_server(scene: Scene) -> None:
    await scene.cf.fault("api-kill")
    scene.after(2, lambda: scene.cf.fault("api-start"))


async def _refuse(scene: Scene) -> None:
    async def accept() -> None:
        scene.ambush.refuses = False

    scene.ambush.refuses = True
    scene.after(HANGS, accept)


async def _steal(scene: Scene) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/cf/leases/{JOURNAL}"
    lease = await scene.cf.found(path)
    spec = {
        "holderIdentity": "somebody-else",
        "leaseTransitions": lease["spec"]["leaseTransitions"] + 1,
        "renewTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
    }
    answer = await scene.cf.request("PATCH", path, body={"spec": spec}, content_type=MERGE)
    assert answer.code == 200, answer


async def _stop(scene: Scene) -> None:
    async def go_on() -> None:
        scene.holder.webhook.signal(signal.SIGCONT)

    scene.holder.webhook.signal(signal.SIGSTOP)
    scene.after(STOPPED, go_on)


async def _storm(scene: Scene) -> None:
    async def post() -> None:
        posts = (
            scene.other.webhook.notify(notification(alert(replica=str(number % 7)), group=f"{{}}:{{group={number}}}"))
            for number in range(STORM)
        )
        answers = await asyncio.gather(*posts)
        others = {status for status, _ in answers} - {202, 503}  # 503: Alertmanager sends it again
        scene.wrong.extend(f"a notification was answered with {status}" for status in others)

    scene.after(0, post)


async def _lock_database(scene: Scene) -> None:
    await scene.cf.fault("locket-db-down")


async def _stick(scene: Scene) -> None:
    """An old pod gets a finalizer, so that it never goes; where none is left, the new ones do not become ready."""
    left = [pod["metadata"] for pod in await scene.cf.pods() if _is_old(scene.cf, pod)]
    if left:
        await finalizers(scene.cf, left[-1]["name"], ["diego-medic.test/stuck"])
    else:
        await scene.cf.fault("unhealthy")


async def _freeze(scene: Scene) -> None:
    await scene.cf.fault("freeze-label")


async def _take_nc(scene: Scene) -> None:
    await scene.cf.fault("no-nc")


async def _come_back(scene: Scene) -> None:
    """The BBS of an old pod ends, its container is started again, and this one gets the lock."""
    left = [pod["metadata"]["name"] for pod in await scene.cf.pods() if _is_old(scene.cf, pod)]
    await scene.cf.kubectl("-n", "cf", "exec", left[-1], "-c", "diego-api", "--", "sh", "-c", "kill -INT 1")


def _is_old(cf: Cf, pod: Json) -> bool:
    metadata = pod["metadata"]
    return metadata["uid"] in cf.originals.values() and "deletionTimestamp" not in metadata


async def finalizers(cf: Cf, pod: str, names: list[str]) -> None:
    """Sets the finalizers of a pod."""
    body = {"metadata": {"finalizers": names or None}}
    answer = await cf.request("PATCH", f"{cf.core}/pods/{pod}", body=body, content_type=MERGE)
    assert answer.code == 200, answer


_RECOVERED, _SPARED = frozenset({"recovered"}), frozenset({"not-needed", "recovered"})
_UNLABELLED = frozenset({"failed no-active-label", "failed not-ready"})
_STUCK = frozenset({"failed still-terminating", "failed not-ready"})
# After an API server that was away Kubernetes takes all pods for unready, until it has judged the node again.
_ASK_AGAIN = frozenset(
    {"unproven api-unreachable", "unproven exec-failed", "unproven deadline", "unproven cloud-controller-down"}
)
FAULTS = (
    Fault(key="none", text="nothing else", inject=_nothing),
    Fault(
        key="api-hung",
        text=f"the API server hangs for {HANGS:g} s",
        holder=Holder.LIVES,
        inject=_hang,
        passing=_ASK_AGAIN,
    ),
    Fault(
        key="api-killed", text="the API server is killed, and is back after some seconds", inject=_kill_the_api_server
    ),
    Fault(
        key="429",
        text=f"the API server answers 429 to everything for {HANGS:g} s",
        holder=Holder.LIVES,
        inject=_refuse,
        passing=_ASK_AGAIN,
    ),
    Fault(key="stolen", text="somebody else takes the lease by force", holder=Holder.LIVES, inject=_steal),
    Fault(
        key="stopped",
        text=f"SIGSTOP, and SIGCONT after {STOPPED:g} s",
        holder=Holder.STOPPED,
        inject=_stop,
    ),
    Fault(key="storm", text=f"{STORM} notifications with different group keys", inject=_storm),
    Fault(
        key="database",
        text="the lock database is away, and stays away",
        inject=_lock_database,
        early=_UNLABELLED,
        amid=_UNLABELLED,
        late=_UNLABELLED | {"failed unreachable"},
        patience="40s",
    ),
    Fault(
        key="stuck",
        text="an old pod does not terminate, or a new one does not become ready",
        inject=_stick,
        early=_STUCK,
        amid=_STUCK | _RECOVERED,  # the stuck pod is spared where the first new one serves by then
        late=_STUCK,
        patience="20s",
    ),
    Fault(
        key="frozen",
        text="the label is not updated any more",
        inject=_freeze,
        early=_UNLABELLED,
        amid=_UNLABELLED | _RECOVERED | {"failed bbs-serving"},  # its BBS listens, and no label leads to it
        late=_UNLABELLED | _RECOVERED,
        patience="40s",
    ),
    Fault(
        key="nc",
        text="`nc` disappears from the api pods",
        inject=_take_nc,
        early=frozenset({"unproven nc-missing", "failed nc-missing"}),
        amid=frozenset({"failed nc-missing"}) | _RECOVERED,
        retry="5m",
    ),
    Fault(
        key="back",
        text="the BBS of an old pod comes back by itself",
        inject=_come_back,
        early=_SPARED,
        amid=_RECOVERED,
        latest=1,
    ),
    Fault(
        key="back-alive",
        text="the BBS of an old pod comes back by itself",
        holder=Holder.LIVES,
        inject=_come_back,
        early=_SPARED,
        amid=_RECOVERED,
        passing=frozenset({"unproven flapping", "unproven pods-disagree", "refused bbs-serving"}),
        latest=1,
    ),
)
