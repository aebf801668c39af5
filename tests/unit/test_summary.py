"""A view in words, for the pages: what is judged, and what is only said."""

from dataclasses import replace

import pytest

from exporter.config.model import Foundation
from exporter.foundation.summary import summarize
from exporter.foundation.view import Call, CallResult, FoundationView, Reading
from tests.support.statuses import NOW, cf, seen
from tests.support.views import reading, without


def facts(view: FoundationView, settings: Foundation | None = None) -> dict[str, tuple[str, str]]:
    return {fact.name: (fact.text, fact.kind) for fact in summarize(view, settings or cf(), now=NOW).facts}


def test_a_healthy_foundation_is_good_in_every_part() -> None:
    assert facts(seen()) == {
        "BBS, probed from here (diego-api.cf.svc.cluster.local:8889)": ("reachable (success)", "good"),
        "Service": ("diego-api, ready endpoints: 10.0.0.1", "good"),
        "Cloud Controller": ("2 of 2 ready (api-0 2/2 Running, api-1 2/2 Running)", "good"),
        "Kubernetes API": ("in sync", "good"),
    }


def test_what_is_too_old_is_unknown_but_when_it_was_stays_said() -> None:
    old = summarize(seen(ago=61), cf(), now=NOW)
    assert (old.reachable, old.fresh, old.findings, old.pods) == (None, False, (), ())
    kinds = {fact.name: fact.kind for fact in old.facts}
    assert (kinds["Service"], kinds["Cloud Controller"]) == ("unknown", "unknown")
    assert old.facts[0].at == NOW - 61
    assert facts(FoundationView())["Kubernetes API"] == ("not read yet", "unknown")


def test_what_was_not_read_yet_is_no_finding() -> None:
    """The control: what is known not to exist is one."""
    half = replace(seen(), components={"diego-api": seen().components["diego-api"]})
    assert summarize(half, cf(), now=NOW).findings == ()
    assert facts(half)["Cloud Controller"] == ("unknown", "unknown")
    missing = summarize(without(seen(), "api"), cf(), now=NOW)
    assert missing.findings[0].name == "no-statefulset"


@pytest.mark.parametrize(("reachable", "kind"), [(True, "good"), (False, "bad"), (None, "unknown")])
def test_the_database_is_shown_where_it_is_configured(reachable: bool | None, kind: str) -> None:
    probed = replace(reading(reachable), known_at=NOW)
    found = facts(replace(seen(), database=probed), cf(database={"host": "db", "port": 3306}))
    assert found["Locket's database"][1] == kind
    assert "Locket's database" not in facts(seen())


@pytest.mark.parametrize(("reachable", "kind"), [(True, "good"), (False, "bad"), (None, "unknown")])
def test_locket_is_shown_where_it_is_configured(reachable: bool | None, kind: str) -> None:
    probed = replace(reading(reachable), known_at=NOW)
    found = facts(replace(seen(), locket=probed), cf(locket={"host": "locket", "port": 8891}))
    assert found["Locket"][1] == kind
    assert "Locket" not in facts(seen())


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (Reading(Call(CallResult.ANSWERED, NOW), reachable=True, known_at=NOW), ("answers (answered)", "good")),
        (
            Reading(Call(CallResult.FAILED, NOW, "down"), reachable=False, known_at=NOW),
            ("does not answer (failed: down)", "bad"),
        ),
        (Reading(Call(CallResult.TLS, NOW, "expired")), ("unknown (tls: expired)", "unknown")),
    ],
)
def test_answers_are_shown_where_the_bbs_is_called(answers: Reading, expected: tuple[str, str]) -> None:
    assert facts(replace(seen(), answers=answers))["BBS, a call of its API"] == expected
    assert "BBS, a call of its API" not in facts(seen())


def test_a_service_is_only_spoken_of_where_the_host_names_one() -> None:
    assert "Service" not in facts(seen(), cf(bbs={"host": "10.0.0.9"}))
    assert facts(replace(seen(), service=None))["Service"] == ("none was found", "")


def test_where_pods_are_not_probed_it_is_unknown_who_listens() -> None:
    pods = summarize(seen(), cf(diego_api={"probe_pods": False}), now=NOW).pods
    assert [(pod.listens, pod.listens_kind) for pod in pods] == [("unknown", "unknown")] * 2
    pods = summarize(seen(), cf(), now=NOW).pods
    assert [(pod.label, pod.listens) for pod in pods] == [("active", "accepts"), ("not active", "does not accept")]
