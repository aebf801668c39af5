"""What the fault matrix calls a broken promise, and where its crash points are."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.matrix.faults import FAULTS
from tests.matrix.gate import Ambush, Gate
from tests.matrix.judge import broken
from tests.matrix.points import POINTS, Call
from tests.matrix.table import CELLS, chosen
from tests.support.audit import JOURNAL

Json = dict[str, Any]
ORIGINALS = {"diego-api-0": "u0", "diego-api-1": "u1"}
JOURNAL_PATH = f"/api/v1/namespaces/cf/configmaps/{JOURNAL}"


class History:
    """An incident as it should be: two intents, two deletes, one run that recovered. A test spoils it."""

    def __init__(self) -> None:
        self.events: list[Json] = []
        for ordinal in (0, 1):
            self.record([_run(*(["deleted"] * ordinal), "intended")])
            self.delete(f"diego-api-{ordinal}", f"u{ordinal}")
        self.runs = [_run("deleted", "deleted", outcome="recovered")]
        self.record(self.runs)

    def record(self, runs: list[Json]) -> None:
        text = json.dumps({"runs": runs})
        self._add("update", "configmaps", JOURNAL, 200, {"data": {"journal.json": text}})

    def delete(self, pod: str, uid: str, *, code: int = 200) -> None:
        self._add("delete", "pods", pod, code, {"preconditions": {"uid": uid}} if uid else {})

    def broken(self) -> list[str]:
        return broken(self.events, originals=ORIGINALS, runs=self.runs)

    def _add(self, verb: str, resource: str, name: str, code: int, body: Json) -> None:
        self.events.append(
            {
                "verb": verb,
                "objectRef": {"resource": resource, "name": name},
                "responseStatus": {"code": code},
                "requestObject": body,
                "userAgent": "a1",
                "requestReceivedTimestamp": f"2026-01-31T12:00:{len(self.events):02}.000000Z",
            }
        )


def _run(*states: str, outcome: str | None = None, name: str = "r") -> Json:
    pods = [
        {"name": f"diego-api-{number}", "uid": f"u{number}", "state": state, "intended_at": "2026-01-31T12:00:00Z"}
        for number, state in enumerate(states)
    ]
    return {"id": name, "outcome": outcome, "step": "restart", "pods": pods, "steps": []}


def test_a_good_history_breaks_nothing() -> None:
    history = History()
    history.delete("diego-api-0", "u0", code=409)
    history.delete("diego-api-0", "u0", code=404)

    assert history.broken() == []


def _a_replacement(history: History) -> None:
    history.delete("diego-api-0", "new")


def _twice(history: History) -> None:
    history.delete("diego-api-0", "u0")


def _without_uid(history: History) -> None:
    history.delete("diego-api-0", "")


def _intent_after_the_delete(history: History) -> None:
    history.events[0], history.events[1] = history.events[1], history.events[0]
    for number in (0, 1):
        history.events[number]["requestReceivedTimestamp"] = f"2026-01-31T12:00:0{number}.000000Z"


def _intent_refused(history: History) -> None:
    history.events[0]["responseStatus"]["code"] = 409
    history.events[1]["requestReceivedTimestamp"] = "2026-01-31T12:00:01.500000Z"


def _two_open(history: History) -> None:
    history.record([_run(), _run(name="s")])


def _no_end(history: History) -> None:
    history.runs = [_run("deleted", "deleted")]


def _restarted_nothing(history: History) -> None:
    history.events.clear()
    history.runs = [_run("spared", "spared", outcome="recovered")]


def _claims_a_delete(history: History) -> None:
    del history.events[1]


def _denies_a_delete(history: History) -> None:
    history.runs = [_run("spared", "deleted", outcome="recovered")]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_a_replacement, "which is a replacement"),
        (_twice, "was deleted twice"),
        (_without_uid, "without its UID"),
        (_intent_after_the_delete, "without an intent"),
        (_intent_refused, "without an intent"),
        (_two_open, "2 runs are open"),
        (_no_end, "has no end"),
        (_restarted_nothing, "restarted nothing"),
        (_claims_a_delete, "nobody deleted it"),
        (_denies_a_delete, "is on record as spared"),
    ],
)
def test_each_broken_promise_is_noticed(spoil: Callable[[History], None], said: str) -> None:
    history = History()
    spoil(history)

    assert any(said in violation for violation in history.broken()), history.broken()


def test_the_matrix_has_every_fault_at_every_crash_point_where_it_says_something() -> None:
    assert len(CELLS) == len({cell.key for cell in CELLS})
    assert {cell.fault for cell in CELLS} == set(FAULTS)
    assert {cell.point for cell in CELLS} == set(POINTS)
    assert len(CELLS) >= 100


def test_cells_are_chosen_by_patterns() -> None:
    assert {cell.fault.key for cell in chosen(["stopped/*"])} == {"stopped"}
    assert [cell.key for cell in chosen(["none/await", "none/intent"])] == ["none/intent", "none/await"]
    with pytest.raises(ValueError, match="no cell is called nothing"):
        chosen(["none/*", "nothing"])


def _ambush(key: str) -> Ambush:
    async def strike(_gate: Gate) -> None:
        raise NotImplementedError

    return Ambush(next(point for point in POINTS if point.key == key), strike)


def _writes(*states: str, step: str = "restart", result: str | None = None, outcome: str | None = None) -> Call:
    run = _run(*states, outcome=outcome) | {"step": step, "steps": [{"name": step, "result": result}]}
    return Call(method="PUT", target=JOURNAL_PATH, run=run)


@pytest.mark.parametrize(
    ("key", "before", "at"),
    [
        ("restart", _writes(step="preserve-evidence"), _writes()),
        ("await", _writes(step="await-ready", result="ok"), _writes(step="await-ready")),
        ("intent", _writes("listed"), _writes("intended")),
        ("between", _writes("intended"), _writes("deleted", "listed")),
        ("end", _writes(step="verify-reachable", result="ok"), _writes(outcome="recovered")),
    ],
)
def test_a_crash_point_is_a_request_of_the_run(key: str, before: Call, at: Call) -> None:
    ambush = _ambush(key)

    assert [ambush.at_point(before), ambush.at_point(at), ambush.at_point(at)] == [False, True, False]


def test_the_wait_of_the_proof_begins_when_both_api_pods_have_answered() -> None:
    run = _writes(step="confirm-unreachable").run
    asks = [Call(method="GET", target=f"/api/v1/namespaces/cf/pods/api-{pod}/exec?command=nc", run=run) for pod in "01"]
    ambush = _ambush("confirm-wait")

    assert [ambush.at_point(ask) for ask in asks] == [False, True]
