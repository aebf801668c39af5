"""How the writer reads answers that are odd, and what it keeps of objects that it replaces."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec
import pytest

from exporter.kubernetes.api import ApiUnreachableError
from exporter.kubernetes.objects import Metadata
from tests.support.inprocess import JOURNAL, InProcessWriter, Shelf, healthy_foundation
from tests.support.stores import a_store, noting
from webhook.record.lease import JOURNAL_UID, LeaseLock
from webhook.writer import ExecResult, LeaseSpec

pytestmark = pytest.mark.looptime

OWNER = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "diego-api", "uid": "u", "blockOwnerDeletion": True}
OTHERS: dict[str, Any] = {
    "labels": {"team": "cf"},
    "annotations": {"backup": "yes"},
    "ownerReferences": [OWNER],
    "finalizers": ["example.com/kept"],
}


async def ended(status: Mapping[str, Any]) -> ExecResult:
    """The result of an exec that ends with this Status."""
    writer = InProcessWriter(healthy_foundation())

    async def frames(path: str, query: list[tuple[str, str]]) -> AsyncGenerator[bytes, None]:
        yield b"\2Connection refused"
        yield b"\3" + msgspec.json.encode(status)

    writer.wire.exec = frames  # type: ignore[method-assign]
    return await writer.exec("api-0", "api", ("nc",), timeout=5)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        pytest.param("Failure", "1", 1, id="the control: a failed command"),
        pytest.param("Failure", "127", 127, id="the control: a command that is missing"),
        pytest.param("Failure", "0", None, id="a failure with the exit code of a success"),
        pytest.param("Failure", "1" * 5_000, None, id="a number that Python refuses to read"),
        pytest.param("Failure", "-1", None, id="no exit code"),
        pytest.param("Failure", "\u0661", None, id="a digit of another script"),
        pytest.param("", "1", None, id="neither a success nor a failure"),
    ],
)
async def test_only_an_exit_code_is_read_as_one(status: str, code: str, expected: int | None) -> None:
    causes = {"causes": [{"reason": "ExitCode", "message": code}]}

    assert (await ended({"status": status, "details": causes})).exit_code == expected


async def test_what_others_wrote_into_the_journals_metadata_stays() -> None:
    cluster = Shelf()
    store = a_store(InProcessWriter(cluster))
    await store.update(noting("one"))
    cluster.change("configmaps", JOURNAL, metadata=OTHERS)
    await store.refresh()

    await store.update(noting("two"))

    metadata = cluster.object("configmaps", JOURNAL)["metadata"]
    assert {key: metadata[key] for key in ("annotations", "ownerReferences", "finalizers")} == {
        key: OTHERS[key] for key in ("annotations", "ownerReferences", "finalizers")
    }
    assert metadata["labels"] == {"team": "cf", "app.kubernetes.io/part-of": "diego-medic"}


async def test_what_others_wrote_into_the_leases_metadata_stays() -> None:
    cluster = Shelf()
    cluster.put("leases", metadata={"name": JOURNAL, **OTHERS}, spec={})
    writer = InProcessWriter(cluster)
    lock = LeaseLock(name=JOURNAL, identity="a", writer=writer, clock=cluster._clock)

    async with lock.hold(journal_uid=lambda: "one"):
        pass

    metadata = cluster.object("leases", JOURNAL)["metadata"]
    assert metadata["ownerReferences"] == [OWNER]
    assert metadata["finalizers"] == OTHERS["finalizers"]
    assert metadata["annotations"] == {"backup": "yes", JOURNAL_UID: "one"}


async def test_an_object_that_was_read_without_a_version_is_not_replaced() -> None:
    """The API server compares nothing then, and what somebody else has written would be lost."""
    writer = InProcessWriter(Shelf())
    made = await writer.create_config_map("x", {"a": "1"})

    with pytest.raises(ApiUnreachableError, match="without a resourceVersion"):
        await writer.update_config_map("x", {}, read=Metadata(name="x"))
    with pytest.raises(ApiUnreachableError, match="without a resourceVersion"):
        await writer.update_lease("x", LeaseSpec(), read=Metadata(name="x"))
    assert (await writer.update_config_map("x", {"a": "2"}, read=made.metadata)).data == {"a": "2"}
