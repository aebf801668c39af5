"""The stand-in foundation's own behaviour, beyond what the contract tests hold against the real one."""

from sandbox.cluster.foundation import Timing
from sandbox.cluster.objects import condition, labels_of, name_of, uid_of
from sandbox.cluster.resources import PODS
from sandbox.cluster.store import Change
from tests.sandbox.conftest import HOST, Box


def incident(seed: int) -> list[tuple[str, int, str, str]]:
    """Everything that the store saw in an incident and its cure."""
    box = Box(seed=seed)
    seen: list[tuple[str, int, str, str]] = []

    def record(change: Change) -> None:
        seen.append((change.type, change.revision, name_of(change.object), uid_of(change.object)))

    box.store.subscribe(record)
    box.fault("locket-db-down")
    box.after(10)
    box.fault("locket-db-up")
    box.delete(*box.names())
    box.after(30)
    assert box.nc().code == 0
    return seen


def test_the_same_seed_gives_the_same_run() -> None:
    """To the last UID; another seed gives another one."""
    assert incident(1) == incident(1)
    assert incident(1) != incident(2)


def test_a_clock_that_was_set_back_does_not_turn_time_back(box: Box) -> None:
    now = box.cluster.now
    box.cluster.advance_to(now - 1000)
    assert box.cluster.now == now


def test_processes_that_ignore_sigterm_serve_until_the_grace_period_is_over() -> None:
    box = Box(grace=600)
    (active,) = box.active()
    box.delete(active)
    box.after(599)
    assert box.serving() == [active]
    assert box.endpoints() == [], "a terminating pod is behind no Service"
    box.after(30)
    assert active not in box.serving()
    assert box.nc().code == 0, "the other one took over"


def test_processes_that_heed_sigterm_go_at_once() -> None:
    box = Box(grace=600, timing=Timing(stop=0.5))
    before = box.uids()
    box.delete("diego-api-0")
    box.after(30)
    assert box.uids()["diego-api-0"] != before["diego-api-0"]


def test_a_stuck_pod_terminates_when_it_is_let_go(box: Box) -> None:
    before = box.uids()
    box.fault("stuck", "diego-api-0")
    box.delete(*box.names())
    box.after(3600)
    assert box.uids()["diego-api-0"] == before["diego-api-0"]
    assert box.uids()["diego-api-1"] != before["diego-api-1"], "the control case"
    box.fault("unstuck", "diego-api-0")
    box.after(30)
    assert box.uids()["diego-api-0"] != before["diego-api-0"]


def test_a_terminating_pod_keeps_its_label(box: Box) -> None:
    (active,) = box.active()
    box.fault("stuck", active)
    box.delete(active)
    box.fault("locket-db-down")
    box.after(60)
    assert box.serving() == []
    assert box.active() == [active]


def test_a_lock_that_is_held_elsewhere_outlives_a_restart(box: Box) -> None:
    box.fault("lock-elsewhere")
    box.after(10)
    box.delete(*box.names())
    box.after(60)
    assert (box.serving(), box.active()) == ([], [])
    assert all(condition(pod, "Ready") for pod in box.pods())
    box.fault("lock-back")
    box.after(10)
    assert len(box.serving()) == 1


def test_a_container_that_crashes_is_restarted_in_its_pod(box: Box) -> None:
    """The other BBS takes over; the UID stays, the restart count grows, the log before it is kept."""
    (active,) = box.active()
    before = box.uids()
    box.fault("crash", active)
    box.after(0.1)
    assert not condition(box.registry.get(PODS, "cf", active), "Ready")
    box.after(10)
    assert box.uids() == before
    assert len(box.serving()) == 1
    statuses = box.registry.get(PODS, "cf", active)["status"]["containerStatuses"]
    assert [(item["name"], item["restartCount"]) for item in statuses] == [("diego-api", 1), ("loggregator-agent", 0)]
    log = box.cluster.log("cf", active, "diego-api", previous=True)
    assert log.read(previous=True) == b"acquired the lock\n"


def test_a_crash_unwedges_a_bbs(box: Box) -> None:
    """What is wedged stays so until restarted, in place or anew."""
    box.fault("locket-db-down")
    box.after(5)
    box.fault("locket-db-up")
    box.after(60)
    assert box.serving() == []
    box.fault("crash", "diego-api-1")
    box.after(5)
    assert box.serving() == ["diego-api-1"]


def test_a_container_that_crashes_in_a_terminating_pod_is_not_restarted(box: Box) -> None:
    """Nor in one whose processes have ended already: the lock goes to a pod that stays."""
    for moment in (0.1, 1.0, 2.0, 5.0):
        (active,) = box.active()
        uid = box.uids()[active]
        box.delete(active)
        box.after(moment)
        box.fault("crash", active)
        box.after(60)
        assert box.uids()[active] != uid
        assert box.nc().code == 0
        assert len(box.serving()) == 1


def test_a_pod_that_is_never_ready(box: Box) -> None:
    box.fault("never-ready", "diego-api-0")
    box.delete("diego-api-0")
    box.after(120)
    assert [condition(pod, "Ready") for pod in box.pods()] == [False, True]
    assert box.statefulset()["status"]["readyReplicas"] == 1
    box.fault("may-be-ready", "diego-api-0")
    box.after(5)
    assert [condition(pod, "Ready") for pod in box.pods()] == [True, True]


def test_a_pod_that_never_starts(box: Box) -> None:
    """The pod that runs goes on; the new one of its name is still being created."""
    box.fault("never-starts", "diego-api-0")
    box.after(60)
    assert [condition(pod, "Ready") for pod in box.pods()] == [True, True]
    box.delete("diego-api-0")
    box.after(120)
    first, second = box.pods()
    assert (first["status"]["phase"], second["status"]["phase"]) == ("Pending", "Running")
    waiting = [each["state"]["waiting"]["reason"] for each in first["status"]["containerStatuses"]]
    assert waiting == ["ContainerCreating", "ContainerCreating"]
    box.fault("may-start", "diego-api-0")
    box.after(10)
    assert [condition(pod, "Ready") for pod in box.pods()] == [True, True]


def test_api_pods_that_disagree(box: Box) -> None:
    box.fault("blind", "api-1")
    first, second = box.nc(pod="api-0"), box.nc(pod="api-1")
    assert (first.code, second.code) == (0, 1)
    assert second.stderr.endswith("timed out: Operation now in progress\n")
    assert second.seconds == 5
    box.fault("unblind", "api-1")
    assert box.nc(pod="api-1").code == 0


def test_a_resolver_that_is_down_is_another_error_than_a_name_that_is_not_there(box: Box) -> None:
    assert "Name or service not known" in box.nc("nosuch.cf.svc.cluster.local").stderr
    box.fault("dns-down")
    assert "Temporary failure in name resolution" in box.nc().stderr
    assert "Temporary failure" not in box.nc(box.endpoints()[0]).stderr, "addresses need no resolver"


def test_packets_that_are_lost_time_out(box: Box) -> None:
    box.fault("blackhole")
    result = box.nc()
    assert (result.code, result.seconds) == (1, 5)
    assert "timed out: Operation now in progress" in result.stderr
    slow = box.exec("timeout", "3", "bash", "-c", ": <>/dev/tcp/$0/$1", HOST, "8889")
    assert (slow.code, slow.seconds, slow.stderr) == (124, 3, "")


def test_a_bbs_that_does_not_answer_keeps_its_lock_and_accepts(box: Box) -> None:
    """Whoever only connects sees no difference; another pod takes over, and it is the same."""
    box.fault("bbs-mute")
    box.after(10)
    (leader,) = box.serving()
    assert (box.active(), box.nc().code) == ([leader], 0)
    assert set(box.cluster.network.sockets().values()) == {"ping-ok", "mute"}

    box.delete(leader)
    box.after(10)
    assert (len(box.serving()), box.nc().code) == (1, 0)
    box.fault("clear")
    assert set(box.cluster.network.sockets().values()) == {"ping-ok", "accept"}


def test_a_headless_service_has_a_name_only_while_a_pod_is_behind_it() -> None:
    box = Box(headless=True)
    assert box.nc().code == 0
    assert box.endpoints()[0] in box.nc().stderr
    box.fault("locket-db-down")
    box.after(10)
    assert "Name or service not known" in box.nc().stderr


def test_without_any_tool_no_probe_starts(box: Box) -> None:
    box.fault("no-tools")
    assert box.nc().code == 127
    result = box.exec("env", "LC_ALL=C", "timeout", "5", "bash", "-c", "", HOST, "8889")
    assert (result.code, result.stderr) == (127, "env: 'timeout': No such file or directory\n")


def test_a_new_api_pod_has_its_tools_again(box: Box) -> None:
    box.fault("no-nc")
    box.delete("api-0")
    box.after(30)
    assert (box.nc(pod="api-0").code, box.nc(pod="api-1").code) == (0, 127)


def test_nothing_is_reported_while_the_api_server_is_away(box: Box) -> None:
    """Processes go on and sockets change, but labels, status and endpoints wait for it."""
    before = (box.store.revision, box.active(), box.endpoints())
    box.cluster.queue.available = False
    box.fault("locket-db-down")
    box.fault("unhealthy")
    box.after(60)
    assert (box.store.revision, box.active(), box.endpoints()) == before
    assert box.serving() == []
    assert box.nc().code == 1
    box.cluster.queue.available = True
    box.after(10)
    assert (box.active(), box.endpoints()) == ([], [])
    assert not any(condition(pod, "Ready") for pod in box.pods())


def test_a_pod_that_was_deleted_before_the_api_server_went_away_comes_back_after_it(box: Box) -> None:
    before = box.uids()
    box.delete(*box.names())
    box.cluster.queue.available = False
    box.after(60)
    assert box.uids() == before
    box.cluster.queue.available = True
    box.after(30)
    assert not set(before.values()) & set(box.uids().values())
    assert len(box.serving()) == 1


def test_locket_in_pods_of_its_own_is_restarted_first() -> None:
    """The layout before CFEE 2.0: while Locket hangs, a restart of the BBS does not help; Locket's own does."""
    box = Box(locket="diego-locket")
    pods = box.pods("diego-locket")
    assert [name_of(pod) for pod in pods] == ["diego-locket-0", "diego-locket-1"]
    assert all(condition(pod, "Ready") and "skiff-role-active" not in labels_of(pod) for pod in pods)
    assert len(box.active()) == 1, "the control case"
    box.fault("locket-hang")
    box.after(10)
    assert (box.active(), box.serving()) == ([], [])
    box.delete(*box.names())
    box.after(60)
    assert (box.active(), box.serving()) == ([], [])
    box.delete("diego-locket-0")
    box.after(60)
    assert len(box.active()) == len(box.serving()) == 1
    assert box.nc().code == 0


def test_a_database_that_goes_away_wedges_in_the_older_layout_too() -> None:
    box = Box(locket="diego-locket")
    box.fault("locket-db-down")
    box.after(10)
    box.fault("locket-db-up")
    box.delete("diego-locket-0", "diego-locket-1")
    box.after(60)
    assert box.serving() == []
    box.delete(*box.names())
    box.after(60)
    assert len(box.serving()) == 1
