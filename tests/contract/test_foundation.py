"""The stand-in foundation: pods that come back, labels that follow the lock, endpoints that follow the labels."""

from tests.contract.conftest import Kube, is_ready, label
from tests.support.rawkube import Json


def uids(pods: list[Json]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


async def active(kube: Kube) -> list[str]:
    return [pod["metadata"]["name"] for pod in await kube.pods() if label(pod) == "true"]


async def test_a_settled_foundation(kube: Kube) -> None:
    """The control case: two pods fully ready, one active, and that one behind the Service."""
    pods = await kube.pods()
    assert [pod["metadata"]["name"] for pod in pods] == ["diego-api-0", "diego-api-1"]
    assert sorted(label(pod) or "" for pod in pods) == ["false", "true"]
    assert await kube.endpoints() == await active(kube)
    for pod in pods:
        statuses = pod["status"]["containerStatuses"]
        assert [(item["name"], item["ready"]) for item in statuses] == [
            ("diego-api", True),
            ("loggregator-agent", True),
        ]
        assert pod["status"]["phase"] == "Running"
        assert pod["spec"]["nodeName"]
        assert pod["spec"]["terminationGracePeriodSeconds"] == 2


async def test_a_pod_belongs_to_its_statefulset_by_uid(kube: Kube) -> None:
    owner = await kube.found(f"{kube.apps}/statefulsets/diego-api")
    for pod in await kube.pods():
        assert pod["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "name": "diego-api",
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
        labels = pod["metadata"]["labels"]
        assert labels["controller-revision-hash"] == owner["status"]["updateRevision"]
        assert labels["statefulset.kubernetes.io/pod-name"] == pod["metadata"]["name"]


async def test_the_status_of_a_settled_statefulset(kube: Kube) -> None:
    found = await kube.found(f"{kube.apps}/statefulsets/diego-api")
    status = found["status"]
    counts = {key: status[key] for key in ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas")}
    assert counts == dict.fromkeys(counts, 2)
    assert status["currentRevision"] == status["updateRevision"]
    assert status["observedGeneration"] == found["metadata"]["generation"]
    assert found["spec"]["podManagementPolicy"] == "Parallel"
    assert found["spec"]["updateStrategy"]["type"] == "RollingUpdate"


async def test_a_deleted_pod_terminates_and_comes_back_with_another_uid(kube: Kube) -> None:
    """Marked with the end of its grace period first, then gone, then there again, pending, then ready."""
    kube.touched = True
    before = await kube.pod("diego-api-1")
    version = (await kube.found(f"{kube.core}/pods"))["metadata"]["resourceVersion"]
    options = {"preconditions": {"uid": before["metadata"]["uid"]}}
    answer = await kube.request("DELETE", f"{kube.core}/pods/diego-api-1", body=options)
    assert answer.code == 200
    assert answer.json["kind"] == "Pod"
    assert answer.json["metadata"]["deletionTimestamp"]
    assert answer.json["metadata"]["deletionGracePeriodSeconds"] == 2
    events: list[Json] = []
    query = {"resourceVersion": version, "fieldSelector": "metadata.name=diego-api-1", "timeoutSeconds": "60"}
    async with kube.watch(f"{kube.core}/pods", **query) as stream:
        async for event in stream:
            events.append(event)
            if event["object"]["metadata"]["uid"] != before["metadata"]["uid"] and is_ready(event["object"]):
                break
    kinds = [event["type"] for event in events]
    assert kinds[0] == "MODIFIED"
    gone, back = kinds.index("DELETED"), kinds.index("ADDED")
    assert back == gone + 1
    assert uids([event["object"] for event in events[: gone + 1]]) == {before["metadata"]["uid"]}
    assert len(uids([event["object"] for event in events[back:]])) == 1
    added = events[back]["object"]
    assert (added["status"]["phase"], is_ready(added)) == ("Pending", False)
    assert "nodeName" not in added["spec"]
    assert label(added) is None
    ready = events[-1]["object"]
    assert ready["status"]["podIP"] != before["status"]["podIP"]


async def test_a_uid_precondition_protects_the_replacement(kube: Kube) -> None:
    """The UID of a pod that is no more deletes nothing."""
    before = await kube.pod("diego-api-1")
    options = {"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}}
    answer = await kube.request("DELETE", f"{kube.core}/pods/diego-api-1", body=options)
    assert answer.reason == (409, "Conflict")
    assert answer.json["message"] == (
        'Operation cannot be fulfilled on Pod "diego-api-1": the UID in the precondition '
        f"({options['preconditions']['uid']}) does not match the UID in record ({before['metadata']['uid']}). "
        "The object might have been deleted and then recreated"
    )
    after = await kube.pod("diego-api-1")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert "deletionTimestamp" not in after["metadata"]


async def test_a_second_delete_of_a_terminating_pod_is_accepted(kube: Kube) -> None:
    kube.touched = True
    answers = [await kube.request("DELETE", f"{kube.core}/pods/diego-api-1") for _ in range(2)]
    assert [answer.code for answer in answers] == [200, 200]
    marks = {answer.json["metadata"]["deletionTimestamp"] for answer in answers}
    assert len(marks) == 1, "the grace period does not begin anew"


async def test_the_lock_moves_when_the_active_pod_is_deleted(kube: Kube) -> None:
    """A healthy failover: the passive one takes over, label and endpoints follow."""
    kube.touched = True
    (first,) = await active(kube)
    (other,) = {"diego-api-0", "diego-api-1"} - {first}
    await kube.request("DELETE", f"{kube.core}/pods/{first}")

    async def moved() -> bool:
        return await kube.endpoints() == [other]

    await kube.eventually(moved)
    assert label(await kube.pod(other)) == "true"


async def test_a_terminating_pod_is_behind_no_service(kube: Kube) -> None:
    kube.touched = True
    (first,) = await active(kube)
    await kube.request("DELETE", f"{kube.core}/pods/{first}")

    async def dropped() -> bool:
        return first not in await kube.endpoints()

    await kube.eventually(dropped)


async def test_the_incident_and_its_cure(kube: Kube) -> None:
    """No database: none is active, both stay ready. The database alone does not mend it, a restart of all pods does."""
    before = uids(await kube.pods())
    await kube.fault("locket-db-down")

    async def nobody() -> bool:
        return not await active(kube) and not await kube.endpoints()

    await kube.eventually(nobody)
    assert all(is_ready(pod) for pod in await kube.pods()), "readiness says nothing about leadership"
    await kube.fault("locket-db-up")
    assert (await kube.nc()).code == 1, "a wedged BBS stays wedged"
    assert await nobody()
    for pod in await kube.pods():
        await kube.request("DELETE", f"{kube.core}/pods/{pod['metadata']['name']}")
    await kube.eventually(kube.settled)
    assert not before & uids(await kube.pods())

    async def reachable() -> bool:
        return bool((await kube.nc()).code == 0)

    await kube.eventually(reachable)


async def test_who_starts_without_the_database_waits_for_it(kube: Kube) -> None:
    await kube.fault("locket-db-down")
    before = uids(await kube.pods())
    for pod in await kube.pods():
        await kube.request("DELETE", f"{kube.core}/pods/{pod['metadata']['name']}")

    async def replaced() -> bool:
        pods = await kube.pods()
        return len(pods) == 2 and not before & uids(pods) and all(is_ready(pod) for pod in pods)

    await kube.eventually(replaced)
    assert await active(kube) == []
    await kube.fault("locket-db-up")
    await kube.eventually(kube.settled)


async def test_a_frozen_label_lies(kube: Kube) -> None:
    """Stale true: the label and the endpoints stay, and nothing listens."""
    (first,) = await active(kube)
    await kube.fault("freeze-label")
    await kube.fault("locket-db-down")

    async def refused() -> bool:
        return bool((await kube.nc()).code == 1)

    await kube.eventually(refused)
    assert await active(kube) == [first]
    assert await kube.endpoints() == [first]


async def test_all_labelled(kube: Kube) -> None:
    await kube.fault("label-all")

    async def both() -> bool:
        return await kube.endpoints() == ["diego-api-0", "diego-api-1"]

    await kube.eventually(both)
    assert await active(kube) == ["diego-api-0", "diego-api-1"]
    await kube.fault("thaw-label")
    await kube.eventually(kube.settled)


async def test_a_split_brain_serves_twice(kube: Kube) -> None:
    await kube.fault("split-brain")

    async def both() -> bool:
        return len(await active(kube)) == 2

    await kube.eventually(both)
    for pod in await kube.pods():
        assert (await kube.nc(pod["status"]["podIP"])).code == 0
    await kube.fault("heal-brain")
    await kube.eventually(kube.settled)


async def test_unhealthy_pods_are_not_ready(kube: Kube) -> None:
    """One container of two, and none is active while `/ping` fails."""
    await kube.fault("unhealthy")

    async def unready() -> bool:
        return not any(is_ready(pod) for pod in await kube.pods())

    await kube.eventually(unready)
    pods = await kube.pods()
    assert [sum(item["ready"] for item in pod["status"]["containerStatuses"]) for pod in pods] == [1, 1]
    condition = next(item for item in pods[0]["status"]["conditions"] if item["type"] == "Ready")
    assert condition["reason"] == "ContainersNotReady"
    assert condition["message"] == "containers with unready status: [diego-api]"
    assert await active(kube) == []

    async def counted() -> bool:
        status = (await kube.found(f"{kube.apps}/statefulsets/diego-api"))["status"]
        return not status.get("readyReplicas", 0)

    await kube.eventually(counted)
    await kube.fault("healthy")
    await kube.eventually(kube.settled)


async def test_ping_is_open_on_the_passive_pod_too(kube: Kube) -> None:
    for pod in await kube.pods():
        assert (await kube.nc(pod["status"]["podIP"], port=8890)).code == 0


async def test_the_audit_log_tells_who_deleted_what(kube: Kube) -> None:
    """One event for a delete, with the UID that was meant, refused or not; one for an exec; none for a read."""
    kube.touched = True
    before = await kube.pod("diego-api-1")
    uid = before["metadata"]["uid"]
    start = len(kube.audit())
    await kube.get(f"{kube.core}/pods")
    for precondition in ("another", uid):
        options = {"preconditions": {"uid": precondition}}
        await kube.request("DELETE", f"{kube.core}/pods/diego-api-1", body=options)
    await kube.nc()

    def mine() -> list[Json]:
        return [event for event in kube.audit()[start:] if not event["user"]["username"].startswith("system:")]

    async def complete() -> bool:  # an exec is on record when its connection has closed
        return len(mine()) >= 3

    await kube.eventually(complete)
    told = [
        (
            event["verb"],
            event["objectRef"]["resource"],
            event["objectRef"].get("subresource"),
            event["objectRef"]["namespace"],
            event["objectRef"]["name"],
            (event.get("requestObject") or {}).get("preconditions"),
            event["responseStatus"]["code"],
        )
        for event in mine()
    ]
    assert told == [
        ("delete", "pods", None, "cf", "diego-api-1", {"uid": "another"}, 409),
        ("delete", "pods", None, "cf", "diego-api-1", {"uid": uid}, 200),
        ("get", "pods", "exec", "cf", "api-0", None, 101),
    ]
    assert all(event["stage"] == "ResponseComplete" for event in mine())
