"""The API server's own faults, over HTTP: it hangs, dies, forgets, refuses, fails, loses answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sandbox.cluster import resources
from sandbox.sandbox import Sandbox
from tests.support.programs import DEADLINE
from tests.support.rawkube import MERGE, RawKube

PODS = "/api/v1/namespaces/cf/pods"
CONFIGMAPS = "/api/v1/namespaces/cf/configmaps"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox() as box:
        yield box


@pytest.fixture
async def kube(box: Sandbox) -> AsyncIterator[RawKube]:
    async with RawKube(box.kubeconfig) as kube:
        yield kube


async def test_a_server_that_hangs_answers_when_it_is_resumed(box: Sandbox, kube: RawKube) -> None:
    """It takes connections and requests, and says nothing; afterwards what was asked meanwhile is done."""
    box.fault("api-hang")
    asked = asyncio.create_task(kube.request("DELETE", f"{PODS}/diego-api-0"))
    done, _ = await asyncio.wait({asked}, timeout=0.5)
    assert not done
    assert not box.audit
    box.fault("api-resume")
    assert (await asked).code == 200
    assert [event["verb"] for event in box.audit] == ["delete"]


async def test_what_a_client_gave_up_on_may_still_happen(box: Sandbox, kube: RawKube) -> None:
    """As with a real server: no answer does not mean no effect."""
    box.fault("api-hang")
    asked = asyncio.create_task(kube.request("DELETE", f"{PODS}/diego-api-0"))
    await asyncio.wait({asked}, timeout=1)  # by then it is at the server
    asked.cancel()
    box.fault("api-resume")
    async with asyncio.timeout(DEADLINE):
        while not box.audit:  # noqa: ASYNC110 - what is awaited is on the other side of HTTP
            await asyncio.sleep(0.05)
    assert "deletionTimestamp" in (await kube.get(f"{PODS}/diego-api-0")).json["metadata"]


async def test_a_stream_goes_silent_while_the_server_hangs(box: Sandbox, kube: RawKube) -> None:
    version = (await kube.found(PODS))["metadata"]["resourceVersion"]
    query = {"resourceVersion": version, "timeoutSeconds": "30", "labelSelector": "app.kubernetes.io/component=api"}
    async with kube.watch(PODS, **query) as events:
        reader = asyncio.ensure_future(anext(events))
        box.fault("api-hang")
        box.cluster.registry.patch(
            resources.PODS, "cf", "api-0", {"metadata": {"labels": {"a": "b"}}}, content_type=MERGE
        )
        done, _ = await asyncio.wait({reader}, timeout=0.5)
        assert not done
        box.fault("api-resume")
        assert (await reader)["object"]["metadata"]["labels"]["a"] == "b"


async def test_a_server_that_is_killed_refuses_and_cuts_its_streams(box: Sandbox, kube: RawKube) -> None:
    async with kube.watch(PODS, resourceVersion="0", timeoutSeconds="30") as events:
        await anext(events)
        box.fault("api-kill")
        with pytest.raises(aiohttp.ClientError):
            async for _ in events:
                pass
    with pytest.raises(aiohttp.ClientConnectorError):
        await kube.get(PODS)
    box.fault("api-start")
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                assert (await kube.get(PODS)).code == 200
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


async def test_watches_are_dropped_and_the_server_goes_on(box: Sandbox, kube: RawKube) -> None:
    async with kube.watch(PODS, resourceVersion="0", timeoutSeconds="30") as events:
        await anext(events)
        box.fault("drop-watch")
        with pytest.raises(aiohttp.ClientError):
            async for _ in events:
                pass
    assert (await kube.get(PODS)).code == 200


async def test_an_open_watch_is_told_that_history_is_gone(box: Sandbox, kube: RawKube) -> None:
    version = (await kube.found(PODS))["metadata"]["resourceVersion"]
    async with kube.watch(PODS, resourceVersion=version, timeoutSeconds="30") as events:
        reader = asyncio.ensure_future(anext(events))
        done, _ = await asyncio.wait({reader}, timeout=0.2)
        assert not done, "the control case: nothing to tell"
        box.fault("watch-410")
        event = await reader
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_bookmarks_come_at_their_interval() -> None:
    async with Sandbox(bookmark_interval=0.2) as box, RawKube(box.kubeconfig) as kube:
        version = (await kube.found(PODS))["metadata"]["resourceVersion"]
        query = {"resourceVersion": version, "timeoutSeconds": "30", "allowWatchBookmarks": "true"}
        async with kube.watch(PODS, **query) as events:
            seen = [await anext(events) for _ in range(3)]
    assert {event["type"] for event in seen} == {"BOOKMARK"}
    assert {event["object"]["metadata"]["resourceVersion"] for event in seen} == {version}


async def test_a_denial_is_403_and_the_review_says_so(box: Sandbox, kube: RawKube) -> None:
    attributes = {"verb": "get", "resource": "pods", "subresource": "exec", "namespace": "cf"}
    review = {"spec": {"resourceAttributes": attributes}}
    allowed = (await kube.request("POST", REVIEWS, body=review)).json["status"]["allowed"]
    assert allowed is True, "the control case"
    box.deny("get", "pods/exec")
    assert (await kube.request("POST", REVIEWS, body=review)).json["status"]["allowed"] is False
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await kube.exec(f"{PODS}/api-0", ["true"], container="api")
    assert refused.value.status == 403
    assert (await kube.get(f"{PODS}/api-0")).code == 200, "reading the pod is another permission"
    assert [(event["objectRef"]["subresource"], event["responseStatus"]["code"]) for event in box.audit] == [
        ("exec", 403)
    ]


async def test_a_denial_in_the_words_of_the_real_server(box: Sandbox, kube: RawKube) -> None:
    box.deny("delete", "pods", name="diego-api-0")
    answer = await kube.request("DELETE", f"{PODS}/diego-api-0")
    assert answer.reason == (403, "Forbidden")
    assert answer.json["message"] == (
        'pods "diego-api-0" is forbidden: User "diego-medic" cannot delete resource "pods" in API group "" '
        'in the namespace "cf"'
    )
    assert answer.json["details"] == {"name": "diego-api-0", "kind": "pods"}
    assert (await kube.request("DELETE", f"{PODS}/diego-api-1")).code == 200


async def test_a_denial_for_one_user_is_none_for_another(box: Sandbox, kube: RawKube) -> None:
    box.deny("list", "pods", user="other")
    async with RawKube(box.write_kubeconfig(token="token-2", user="other", name="other")) as other:
        assert (await other.get(PODS)).reason == (403, "Forbidden")
    assert (await kube.get(PODS)).code == 200


async def test_without_a_token_nobody_comes_in(box: Sandbox) -> None:
    async with aiohttp.ClientSession() as session, session.get(box.url + PODS) as response:
        assert response.status == 401


async def test_a_failure_before_the_effect(box: Sandbox, kube: RawKube) -> None:
    box.fail("delete", "pods", times=1)
    assert (await kube.request("DELETE", f"{PODS}/diego-api-0")).reason == (500, "InternalError")
    assert "deletionTimestamp" not in (await kube.found(f"{PODS}/diego-api-0"))["metadata"]
    assert (await kube.request("DELETE", f"{PODS}/diego-api-0")).code == 200, "once, it was said"


async def test_an_answer_that_is_lost(box: Sandbox, kube: RawKube) -> None:
    """The delete has taken effect, and the client is told of an error; the audit log says what the client was told."""
    box.fail("delete", "pods", code=504, effective=True, times=1)
    assert (await kube.request("DELETE", f"{PODS}/diego-api-0")).code == 504
    assert "deletionTimestamp" in (await kube.found(f"{PODS}/diego-api-0"))["metadata"]
    assert [event["responseStatus"]["code"] for event in box.audit] == [504]


async def test_failures_by_name_and_clear(box: Sandbox, kube: RawKube) -> None:
    box.fault("fail", "list pods")
    box.fault("deny", "get pods")
    assert ((await kube.get(PODS)).code, (await kube.get(f"{PODS}/api-0")).code) == (500, 403)
    box.fault("clear")
    assert ((await kube.get(PODS)).code, (await kube.get(f"{PODS}/api-0")).code) == (200, 200)


async def test_a_slow_server_answers(box: Sandbox, kube: RawKube) -> None:
    box.fault("api-slow", "0.3")
    asked = asyncio.create_task(kube.get(PODS))
    done, _ = await asyncio.wait({asked}, timeout=0.1)
    assert not done
    assert (await asked).code == 200


async def test_the_audit_log_in_a_file(tmp_path: Path) -> None:
    """One JSON line an event, the same as in memory."""
    file = tmp_path / "audit.log"
    async with Sandbox(audit_file=file) as box, RawKube(box.kubeconfig) as kube:
        await kube.get(PODS)
        await kube.request("POST", CONFIGMAPS, body={"metadata": {"name": "journal"}})
        await kube.request("POST", REVIEWS, body={"spec": {}})
        assert [json.loads(line) for line in file.read_text().splitlines()] == box.audit
    assert [(event["verb"], event["objectRef"]["name"]) for event in box.audit] == [("create", "journal")]
