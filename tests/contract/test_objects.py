"""Objects: create, read, update, patch, delete, and who may not."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract.conftest import Kube
from tests.support.rawkube import JSON_PATCH, MERGE, Json

CONFLICT = "the object has been modified; please apply your changes to the latest version and try again"


def configmap(**metadata: Any) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "contract", **metadata}, "data": {"x": "1"}}


@pytest.fixture
async def created(kube: Kube) -> AsyncIterator[Json]:
    """A ConfigMap of the test's own."""
    answer = await kube.request("POST", f"{kube.core}/configmaps", body=configmap(labels={"a": "b"}))
    assert answer.code == 201, answer
    yield answer.json
    await kube.request("DELETE", f"{kube.core}/configmaps/contract")


async def test_create_gives_an_identity_and_get_returns_the_same(kube: Kube, created: Json) -> None:
    """What the server adds: namespace, UID, resourceVersion, creationTimestamp."""
    assert {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"} <= created["metadata"].keys()
    assert await kube.found(f"{kube.core}/configmaps/contract") == created


async def test_create_twice_is_refused(kube: Kube, created: Json) -> None:
    answer = await kube.request("POST", f"{kube.core}/configmaps", body=configmap())
    assert answer.reason == (409, "AlreadyExists")
    assert answer.json["message"] == 'configmaps "contract" already exists'
    assert answer.json["details"] == {"name": "contract", "kind": "configmaps"}


async def test_what_is_not_there_is_not_found(kube: Kube) -> None:
    for path, message in {
        f"{kube.core}/pods/nosuch": 'pods "nosuch" not found',
        f"{kube.core}/configmaps/nosuch": 'configmaps "nosuch" not found',
        f"{kube.apps}/statefulsets/nosuch": 'statefulsets.apps "nosuch" not found',
        f"{kube.coordination}/leases/nosuch": 'leases.coordination.k8s.io "nosuch" not found',
        f"{kube.core}/nosuchkind": "the server could not find the requested resource",
    }.items():
        answer = await kube.get(path)
        assert answer.reason == (404, "NotFound")
        assert answer.json["message"] == message


async def test_delete_of_what_is_not_there_is_not_found(kube: Kube) -> None:
    answer = await kube.request("DELETE", f"{kube.core}/pods/nosuch")
    assert answer.reason == (404, "NotFound")


async def test_create_in_a_namespace_that_is_not_there(kube: Kube) -> None:
    answer = await kube.request("POST", "/api/v1/namespaces/nosuch/configmaps", body=configmap())
    assert answer.reason == (404, "NotFound")
    assert answer.json["message"] == 'namespaces "nosuch" not found'


async def test_update_by_compare_and_swap(kube: Kube, created: Json) -> None:
    """The version that was read wins once; the same version again is a conflict, and changes nothing."""
    first = await kube.request("PUT", f"{kube.core}/configmaps/contract", body=created | {"data": {"x": "2"}})
    assert first.code == 200
    assert first.json["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]
    second = await kube.request("PUT", f"{kube.core}/configmaps/contract", body=created | {"data": {"x": "3"}})
    assert second.reason == (409, "Conflict")
    message = f'Operation cannot be fulfilled on configmaps "contract": {CONFLICT}'
    assert second.json["message"] == message
    assert (await kube.found(f"{kube.core}/configmaps/contract"))["data"] == {"x": "2"}


async def test_update_without_a_version_overwrites(kube: Kube, created: Json) -> None:
    """The API's rule for ConfigMaps, and why a journal must send the version."""
    answer = await kube.request("PUT", f"{kube.core}/configmaps/contract", body=configmap() | {"data": {"x": "9"}})
    assert answer.code == 200
    assert answer.json["data"] == {"x": "9"}
    assert answer.json["metadata"]["uid"] == created["metadata"]["uid"]


async def test_update_that_changes_nothing_keeps_the_version(kube: Kube, created: Json) -> None:
    answer = await kube.request("PUT", f"{kube.core}/configmaps/contract", body=created)
    assert answer.json["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


async def test_update_of_another_uid_is_a_conflict(kube: Kube, created: Json) -> None:
    answer = await kube.request("PUT", f"{kube.core}/configmaps/contract", body=configmap(uid="another"))
    assert answer.reason == (409, "Conflict")


async def test_update_of_what_is_gone_is_not_found(kube: Kube) -> None:
    answer = await kube.request("PUT", f"{kube.core}/configmaps/contract", body=configmap(resourceVersion="5"))
    assert answer.reason == (404, "NotFound")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"name": "other"}, "the name of the object (other) does not match the name on the URL (contract)"),
        (
            {"namespace": "other"},
            "the namespace of the object (other) does not match the namespace on the request (cf)",
        ),
    ],
)
async def test_update_of_another_object_than_the_path_names(
    kube: Kube, created: Json, metadata: Json, message: str
) -> None:
    answer = await kube.request("PUT", f"{kube.core}/configmaps/contract", body=configmap(**metadata))
    assert answer.reason == (400, "BadRequest")
    assert answer.json["message"] == message


async def test_create_with_a_version_is_refused(kube: Kube) -> None:
    answer = await kube.request("POST", f"{kube.core}/configmaps", body=configmap(resourceVersion="5"))
    assert answer.reason == (500, None)
    assert answer.json["message"] == "resourceVersion should not be set on objects to be created"


@pytest.mark.parametrize(("name", "reason"), [("", "FieldValueRequired"), ("A_B", "FieldValueInvalid")])
async def test_create_needs_a_good_name(kube: Kube, name: str, reason: str) -> None:
    answer = await kube.request("POST", f"{kube.core}/configmaps", body=configmap(name=name))
    assert answer.reason == (422, "Invalid")
    assert answer.json["details"]["causes"][0]["reason"] == reason


async def test_a_body_that_is_not_json_is_refused(kube: Kube) -> None:
    answer = await kube.request("POST", f"{kube.core}/configmaps", body=b"{")
    assert answer.reason == (400, "BadRequest")


async def test_merge_patch(kube: Kube, created: Json) -> None:
    """Values are set, null removes, the rest stays."""
    path = f"{kube.core}/configmaps/contract"
    answer = await kube.request("PATCH", path, body={"data": {"y": "2", "x": None}}, content_type=MERGE)
    assert answer.code == 200
    assert answer.json["data"] == {"y": "2"}
    assert answer.json["metadata"]["labels"] == {"a": "b"}


async def test_patch_with_a_stale_version_is_a_conflict(kube: Kube, created: Json) -> None:
    patch = {"metadata": {"resourceVersion": "1"}, "data": {"y": "2"}}
    answer = await kube.request("PATCH", f"{kube.core}/configmaps/contract", body=patch, content_type=MERGE)
    assert answer.reason == (409, "Conflict")


async def test_json_patch_and_its_test(kube: Kube, created: Json) -> None:
    path = f"{kube.core}/configmaps/contract"
    failed = [{"op": "test", "path": "/data/x", "value": "9"}, {"op": "remove", "path": "/data/x"}]
    answer = await kube.request("PATCH", path, body=failed, content_type=JSON_PATCH)
    assert answer.reason == (422, "Invalid")
    passed = [{"op": "test", "path": "/data/x", "value": "1"}, {"op": "add", "path": "/data/y", "value": "2"}]
    answer = await kube.request("PATCH", path, body=passed, content_type=JSON_PATCH)
    assert answer.json["data"] == {"x": "1", "y": "2"}


async def test_patch_of_an_unknown_type(kube: Kube, created: Json) -> None:
    answer = await kube.request("PATCH", f"{kube.core}/configmaps/contract", body={}, content_type="text/plain")
    assert answer.reason == (415, "UnsupportedMediaType")


async def test_delete_and_its_uid_precondition(kube: Kube, created: Json) -> None:
    path = f"{kube.core}/configmaps/contract"
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "another"}}
    refused = await kube.request("DELETE", path, body=options)
    assert refused.reason == (409, "Conflict")
    uid = created["metadata"]["uid"]
    done = await kube.request("DELETE", path, body=options | {"preconditions": {"uid": uid}})
    assert done.code == 200
    assert done.json["status"] == "Success"
    assert done.json["details"] == {"name": "contract", "kind": "configmaps", "uid": uid}
    assert (await kube.get(path)).code == 404


async def test_generated_names(kube: Kube) -> None:
    event = {
        "metadata": {"generateName": "contract-"},
        "involvedObject": {"kind": "StatefulSet", "namespace": "cf", "name": "diego-api"},
        "reason": "Contract",
        "message": "a courtesy",
        "type": "Normal",
    }
    names = [(await kube.request("POST", f"{kube.core}/events", body=event)).json["metadata"]["name"] for _ in range(2)]
    assert names[0] != names[1]
    assert all(name.startswith("contract-") and len(name) == len("contract-") + 5 for name in names)


async def test_methods_that_are_not_allowed(kube: Kube) -> None:
    for method, path in (("POST", f"{kube.core}/pods/api-0"), ("PUT", f"{kube.core}/pods")):
        assert (await kube.request(method, path, body={})).reason == (405, "MethodNotAllowed")


async def test_a_wrong_token_is_unauthorized(kube: Kube) -> None:
    answer = await kube.request("GET", f"{kube.core}/pods", token="wrong")
    assert answer.reason == (401, "Unauthorized")


async def test_a_lease_is_taken_by_compare_and_swap(kube: Kube) -> None:
    """A Lease needs its version for an update, which a ConfigMap does not."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "contract"},
        "spec": {"holderIdentity": "one", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"},
    }
    path = f"{kube.coordination}/leases/contract"
    try:
        first = (await kube.request("POST", f"{kube.coordination}/leases", body=lease)).json
        assert first["spec"]["holderIdentity"] == "one"
        assert (await kube.request("PUT", path, body=lease)).reason == (422, "Invalid")
        taken = first | {"spec": first["spec"] | {"holderIdentity": "two"}}
        assert (await kube.request("PUT", path, body=taken)).code == 200
        lost = await kube.request("PUT", path, body=first | {"spec": first["spec"] | {"holderIdentity": "three"}})
        assert lost.reason == (409, "Conflict")
        assert (await kube.found(path))["spec"]["holderIdentity"] == "two"
    finally:
        await kube.request("DELETE", path)


async def test_a_review_of_ones_own_access(kube: Kube) -> None:
    """Both clusters' users may do everything here; what is forbidden is tested in the sandbox's own tests."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {"namespace": "cf", "verb": "delete", "resource": "pods", "name": "diego-api-0"}
        },
    }
    answer = await kube.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
    assert answer.code == 201
    assert answer.json["status"]["allowed"] is True
    assert answer.json["spec"] == review["spec"]
