"""Whatever an API server, a proxy or a pod answers: an error that is known, and never more than was said."""

import json
from collections.abc import Awaitable
from random import Random
from typing import Any

from hypothesis import event, given, note

from exporter.foundation.view import ProbeResult
from exporter.kubernetes.api import ENDPOINTS, PODS, SERVICES, STATEFULSETS, KubernetesError
from exporter.kubernetes.objects import Metadata
from tests.support.foundations import endpoints, pod, statefulset
from tests.support.fuzzing import play, randoms
from tests.support.scripted import FuzzedTransport
from webhook.runbook.cloud_controller import read_nc
from webhook.writer import ApiWriter, Deleted, ExecResult, LeaseSpec

UID = "diego-api-0-uid"
OBJECTS: dict[str, Any] = {
    "pods": pod("diego-api", 0, active="true"),
    "statefulsets": statefulset("diego-api"),
    "services": {"metadata": {"name": "diego-api"}, "spec": {"clusterIP": "10.96.0.89"}},
    "endpoints": endpoints("10.0.0.1"),
    "configmaps": {"metadata": {"name": "x", "uid": "x"}, "data": {"journal.json": "{}"}},
    "leases": {"metadata": {"name": "x"}, "spec": {"holderIdentity": "a", "renewTime": "2026-01-31T12:00:00.000000Z"}},
    "selfsubjectaccessreviews": {"kind": "SelfSubjectAccessReview", "status": {"allowed": True}},
    "events": {"metadata": {"name": "x"}},
}
PROVES = {ProbeResult.SUCCESS, ProbeResult.REFUSED, ProbeResult.TIMEOUT, ProbeResult.UNREACHABLE, ProbeResult.DNS}


def right(method: str, path: str) -> Any:
    kind = next(part for part in reversed(path.split("/")) if part in OBJECTS)
    if method == "GET" and path.endswith(kind):
        return {"metadata": {"resourceVersion": "7"}, "items": [OBJECTS[kind], OBJECTS[kind]]}
    return OBJECTS[kind]


async def said(asking: Awaitable[object]) -> str:
    """How a question ended. Any other exception is the failure that is looked for."""
    try:
        await asking
    except KubernetesError:
        return "an error"
    return "an answer"


@given(randoms)
def test_every_question_ends_in_an_answer_or_in_a_kubernetes_error(random: Random) -> None:
    transport = FuzzedTransport(random, right)
    writer = ApiWriter(transport, namespace="cf")

    async def watch() -> None:
        async for each in writer.watch(PODS, since="1", window=30, silence=40):
            assert each.object is None or each.object.metadata.name is not None

    async def ask() -> None:
        questions: tuple[Awaitable[object], ...] = (
            *(writer.list(each) for each in (PODS, STATEFULSETS, SERVICES, ENDPOINTS)),
            *(writer.get(each, "x") for each in (PODS, STATEFULSETS, SERVICES, ENDPOINTS)),
            watch(),
            writer.log("x", "c", previous=False, tail_lines=1, limit_bytes=1),
            writer.allowed("get", "", "pods"),
            writer.read_config_map("x"),
            writer.update_config_map("x", {}, read=Metadata(resource_version="1")),
            writer.read_lease("x"),
            writer.update_lease("x", LeaseSpec(), read=Metadata(resource_version="1")),
            writer.create_event({}),
        )
        for each in questions:
            event(await said(each))
            assert writer.server_time is None or writer.server_time > -1e12

    play(ask())


@given(randoms)
def test_a_delete_took_effect_only_where_kubernetes_says_so(random: Random) -> None:
    transport = FuzzedTransport(random, right)
    writer = ApiWriter(transport, namespace="cf")

    async def delete() -> Deleted | None:
        try:
            return await writer.delete_pod("diego-api-0", uid=UID, resource_version="1")
        except KubernetesError:
            return None

    answer = play(delete())

    event(str(answer))
    if answer is None:
        return
    (given,) = transport.answers
    note(str(given))
    body = json.loads(given.body.decode(errors="replace"))
    if answer is Deleted.ACCEPTED:
        by_pod = (body.get("metadata") or {}).get("uid") == UID
        assert 200 <= given.status < 300
        assert by_pod or (body["kind"], body["status"]) == ("Status", "Success")
    else:
        assert (given.status, body["kind"]) == ({Deleted.GONE: 404, Deleted.CONFLICT: 409}[answer], "Status")


@given(randoms)
def test_a_check_from_a_pod_proves_only_what_its_output_and_exit_code_say(random: Random) -> None:
    transport = FuzzedTransport(random, right)
    writer = ApiWriter(transport, namespace="cf")

    async def check() -> ExecResult | None:
        try:
            return await writer.exec("api-0", "api", ("nc",), timeout=20)
        except KubernetesError:
            return None

    answer = play(check())
    if answer is None:
        return
    result, words = read_nc(answer)

    event(result.value)
    note(f"{transport.frames}")
    assert len(words) <= 400
    if result not in PROVES:
        return
    verdict = json.loads(next(each for each in transport.frames if each[:1] == b"\3")[1:].decode(errors="replace"))
    if result is ProbeResult.SUCCESS:
        assert verdict["status"] == "Success"
        return
    codes = [each["message"] for each in verdict["details"]["causes"] if each["reason"] == "ExitCode"]
    assert verdict["status"] == "Failure"
    assert codes[0] == "1"
    assert any(each in answer.stderr for each in KNOWN)
    assert "Connection ref\ufffdused" not in answer.stderr
    assert "Temporary failure" not in answer.stderr


KNOWN = ("Connection refused", "Connection timed out", "Name or service not known")
