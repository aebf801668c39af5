"""List, watch, bookmarks, and what happens when the server has forgotten."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.conftest import Kube
from tests.support.rawkube import MERGE, Json


@pytest.fixture
async def names(kube: Kube) -> AsyncIterator[list[str]]:
    """Two ConfigMaps of the test's own, labelled."""
    names = ["contract-1", "contract-2"]
    for name in names:
        body = {"metadata": {"name": name, "labels": {"contract": name}}}
        assert (await kube.request("POST", f"{kube.core}/configmaps", body=body)).code == 201
    yield names
    for name in names:
        await kube.request("DELETE", f"{kube.core}/configmaps/{name}")


async def patch(kube: Kube, name: str, body: Json) -> None:
    answer = await kube.request("PATCH", f"{kube.core}/configmaps/{name}", body=body, content_type=MERGE)
    assert answer.code == 200


async def test_a_list_has_its_version_and_bare_items(kube: Kube, names: list[str]) -> None:
    found = await kube.found(f"{kube.core}/configmaps", labelSelector="contract")
    assert (found["kind"], found["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(found["metadata"]["resourceVersion"]) > 0
    assert [item["metadata"]["name"] for item in found["items"]] == names
    assert all("kind" not in item for item in found["items"])


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("contract=contract-1", [1]),
        ("contract==contract-1", [1]),
        ("contract,contract!=contract-1", [2]),
        ("contract in (contract-1, contract-2)", [1, 2]),
        ("contract,contract notin (contract-2)", [1]),
        ("contract=contract-1,other", []),
        ("!contract", []),
    ],
)
async def test_label_selectors(kube: Kube, names: list[str], selector: str, expected: list[int]) -> None:
    found = await kube.found(f"{kube.core}/configmaps", labelSelector=selector)
    got = [name for item in found["items"] if (name := item["metadata"]["name"]) in names]
    assert got == [f"contract-{number}" for number in expected]


async def test_a_field_selector(kube: Kube, names: list[str]) -> None:
    found = await kube.found(f"{kube.core}/configmaps", fieldSelector="metadata.name=contract-2")
    assert [item["metadata"]["name"] for item in found["items"]] == ["contract-2"]


@pytest.mark.parametrize("query", [{"labelSelector": "a b c"}, {"fieldSelector": "spec.foo=bar"}, {"limit": "abc"}])
async def test_queries_that_are_not_understood(kube: Kube, query: dict[str, str]) -> None:
    answer = await kube.get(f"{kube.core}/pods", **query)
    assert answer.reason == (400, "BadRequest")


async def test_a_list_in_pages(kube: Kube, names: list[str]) -> None:
    """Every page has at most `limit` items; the last one says nothing of a further page, and may be empty."""
    query = {"labelSelector": "contract", "limit": "1"}
    pages: list[list[str]] = []
    token = ""
    while len(pages) < 5:
        found = await kube.found(f"{kube.core}/configmaps", **query, **({"continue": token} if token else {}))
        pages.append([item["metadata"]["name"] for item in found["items"]])
        token = found["metadata"].get("continue", "")
        if not token:
            break
    assert all(len(page) <= 1 for page in pages)
    assert [name for page in pages for name in page] == names


async def test_a_watch_goes_on_where_the_list_ended(kube: Kube, names: list[str]) -> None:
    """Nothing is missed between list and watch, and nothing is told twice; the server ends it after timeoutSeconds."""
    version = (await kube.found(f"{kube.core}/configmaps"))["metadata"]["resourceVersion"]
    await patch(kube, "contract-1", {"data": {"a": "1"}})
    query = {"resourceVersion": version, "labelSelector": "contract", "timeoutSeconds": "4"}
    async with kube.watch(f"{kube.core}/configmaps", **query) as events:
        await patch(kube, "contract-2", {"data": {"a": "2"}})
        await kube.request("DELETE", f"{kube.core}/configmaps/contract-1")
        seen = [(event["type"], event["object"]["metadata"]["name"]) async for event in events]
    assert seen == [("MODIFIED", "contract-1"), ("MODIFIED", "contract-2"), ("DELETED", "contract-1")]


async def test_versions_grow_and_a_deleted_object_has_that_of_its_deletion(kube: Kube, names: list[str]) -> None:
    version = (await kube.found(f"{kube.core}/configmaps"))["metadata"]["resourceVersion"]
    await patch(kube, "contract-1", {"data": {"a": "1"}})
    await kube.request("DELETE", f"{kube.core}/configmaps/contract-1")
    versions = [int(version)]
    query = {"resourceVersion": version, "labelSelector": "contract", "timeoutSeconds": "2"}
    async with kube.watch(f"{kube.core}/configmaps", **query) as events:
        versions += [int(event["object"]["metadata"]["resourceVersion"]) async for event in events]
    assert len(versions) == 3
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("version", [{}, {"resourceVersion": "0"}])
async def test_a_watch_from_nowhere_tells_what_there_is(kube: Kube, names: list[str], version: dict[str, str]) -> None:
    query = {"labelSelector": "contract", "timeoutSeconds": "2"} | version
    async with kube.watch(f"{kube.core}/configmaps", **query) as events:
        seen = [(event["type"], event["object"]["metadata"]["name"]) async for event in events]
    assert sorted(seen) == [("ADDED", name) for name in names]


async def test_what_leaves_the_selection_is_deleted_for_the_watcher(kube: Kube, names: list[str]) -> None:
    """And is shown as it was before; what comes in is added."""
    version = (await kube.found(f"{kube.core}/configmaps"))["metadata"]["resourceVersion"]
    await patch(kube, "contract-1", {"metadata": {"labels": {"contract": "contract-2"}}})
    await patch(kube, "contract-2", {"metadata": {"labels": {"contract": "other"}}})
    query = {"labelSelector": "contract=contract-2", "resourceVersion": version, "timeoutSeconds": "2"}
    async with kube.watch(f"{kube.core}/configmaps", **query) as events:
        told = [(event["type"], event["object"]["metadata"]) async for event in events]
    seen = [(kind, metadata["name"], metadata["labels"]["contract"]) for kind, metadata in told]
    assert seen == [("ADDED", "contract-1", "contract-2"), ("DELETED", "contract-2", "contract-2")]


async def test_a_bookmark_comes_before_the_end_of_a_watch(kube: Kube) -> None:
    """It has the version of the last change, and nothing else to say."""
    version = (await kube.found(f"{kube.core}/pods"))["metadata"]["resourceVersion"]
    query = {"resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "6"}
    async with kube.watch(f"{kube.core}/pods", **query) as events:
        body = {"metadata": {"annotations": {"contract": version}}}
        await kube.request("PATCH", f"{kube.core}/pods/api-0", body=body, content_type=MERGE)
        seen = [event async for event in events]
    changes = [event for event in seen if event["type"] != "BOOKMARK"]
    bookmarks = [event for event in seen if event["type"] == "BOOKMARK"]
    assert changes, "the control case: the watch saw the change"
    assert bookmarks
    assert seen[-1]["type"] == "BOOKMARK"
    assert bookmarks[-1]["object"]["kind"] == "Pod"
    last = int(changes[-1]["object"]["metadata"]["resourceVersion"])
    assert int(bookmarks[-1]["object"]["metadata"]["resourceVersion"]) >= last


async def test_no_bookmark_for_who_did_not_ask(kube: Kube) -> None:
    version = (await kube.found(f"{kube.core}/pods"))["metadata"]["resourceVersion"]
    query = {"resourceVersion": version, "timeoutSeconds": "4"}
    async with kube.watch(f"{kube.core}/pods", **query) as events:
        body = {"metadata": {"annotations": {"contract": version}}}
        await kube.request("PATCH", f"{kube.core}/pods/api-0", body=body, content_type=MERGE)
        assert {event["type"] async for event in events} == {"MODIFIED"}


async def test_a_version_that_the_server_has_forgotten_is_gone(kube: Kube) -> None:
    """The stream begins with 200 and says 410 in an ERROR event; then it ends. A list gives a version that works."""
    if kube.is_real:  # a server that has just started remembers nothing from before
        await kube.fault("api-kill")
        await kube.fault("api-start")
    async with kube.watch(f"{kube.core}/pods", resourceVersion="1", timeoutSeconds="10") as events:
        seen = [event async for event in events]
    assert [event["type"] for event in seen] == ["ERROR"]
    status = seen[0]["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"].startswith("too old resource version: 1 (")
    version = (await kube.found(f"{kube.core}/pods"))["metadata"]["resourceVersion"]
    async with kube.watch(f"{kube.core}/pods", resourceVersion=version, timeoutSeconds="1") as events:
        assert "ERROR" not in {event["type"] async for event in events}


async def test_a_version_that_is_none(kube: Kube) -> None:
    answer = await kube.get(f"{kube.core}/pods", watch="true", resourceVersion="abc")
    assert answer.reason == (500, None)
