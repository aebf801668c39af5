"""A view for people: a sentence, what it rests on, and each diego-api pod. Pure; shared by the programs' pages.

`kind` is `good`, `bad`, `unknown`, or empty where nothing is judged. What is older than `staleness` is unknown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exporter.config.model import Foundation
from exporter.config.names import service_name
from exporter.foundation import assess
from exporter.foundation.findings import Finding, findings, listens, state
from exporter.foundation.view import FoundationView, Reading

_KINDS = {True: "good", False: "bad", None: "unknown"}
_WORDS = {True: "reachable", False: "unreachable", None: "unknown"}
_ANSWERS = {True: "answers", False: "does not answer", None: "unknown"}
UNKNOWN = "unknown"
API = "Kubernetes API"
"""The name of the fact that tells whether all this is in sync with the API server."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known, how it is judged, and of which time it is (Unix time; None: of no time)."""

    name: str
    text: str
    kind: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True)
class PodLine:
    """A diego-api pod: as kubectl shows it, whether it is labelled active, and whether it accepts connections."""

    name: str
    state: str
    state_kind: str
    label: str
    listens: str
    listens_kind: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that a page says about a view."""

    reachable: bool | None
    fresh: bool
    findings: tuple[Finding, ...]
    facts: tuple[Fact, ...]
    pods: tuple[PodLine, ...]


def sentence(reachable: bool | None) -> str:
    """Whether the BBS is reachable, and what that means for who pushes an app."""
    return {
        True: "The BBS is reachable.",
        False: "The BBS is unreachable: apps cannot be staged.",
        None: "It is unknown whether the BBS is reachable.",
    }[reachable]


def is_fresh(view: FoundationView, foundation: Foundation, *, now: float) -> bool:
    """Whether what Kubernetes said is at most `staleness` old."""
    return view.synced_at is not None and now - view.synced_at <= foundation.staleness


def summarize(view: FoundationView, foundation: Foundation, *, now: float, error: str = "") -> Summary:
    """`now` is Unix time; `error` is what is wrong between us and the API server."""
    fresh = is_fresh(view, foundation, now=now)
    return Summary(
        reachable=assess.bbs_reachable(view, foundation, now=now),
        fresh=fresh,
        findings=_findings(view, foundation, now=now) if fresh else (),
        facts=tuple(_facts(view, foundation, now=now, fresh=fresh, error=error)),
        pods=tuple(_pods(view, foundation, now=now)) if fresh else (),
    )


def _findings(view: FoundationView, foundation: Foundation, *, now: float) -> tuple[Finding, ...]:
    """Without what only says that a StatefulSet was not read yet."""
    unread = {name for name in _names(foundation) if name not in view.components}
    return () if unread else findings(view, foundation, now=now)


def _names(foundation: Foundation) -> tuple[str, ...]:
    return (*foundation.diego_api.statefulset, *foundation.cloud_controller.statefulset, *foundation.restart)


def _facts(view: FoundationView, foundation: Foundation, *, now: float, fresh: bool, error: str) -> Iterable[Fact]:
    address = f"{foundation.bbs.host}:{foundation.bbs.port}"
    yield _probed(f"BBS, probed from here ({address})", view.bbs, foundation, now=now)
    if view.answers.last is not None:
        yield _probed("BBS, a call of its API", view.answers, foundation, now=now, words=_ANSWERS)
    if service_name(foundation) is not None:  # an address is not looked up, whichever Service routes it
        yield Fact("Service", *(_service(view) if fresh else (UNKNOWN, "unknown")))
    yield Fact("Cloud Controller", *(_cloud_controller(view, foundation) if fresh else (UNKNOWN, "unknown")))
    if foundation.database is not None:
        yield _probed("Locket's database", view.database, foundation, now=now)
    if foundation.locket is not None:
        yield _probed("Locket", view.locket, foundation, now=now)
    synced = "in sync" if view.synced else f"not in sync: {error}" if error else "not read yet"
    yield Fact(API, synced, "good" if view.synced else "unknown", view.synced_at)


def _probed(
    name: str, reading: Reading, foundation: Foundation, *, now: float, words: Mapping[bool | None, str] = _WORDS
) -> Fact:
    value = reading.value(now=now, staleness=foundation.staleness)
    last = reading.last
    if last is None:
        return Fact(name, "not probed yet", "unknown")
    said = f"{last.result}: {last.detail}" if last.detail else str(last.result)
    return Fact(name, f"{words[value]} ({said})", _KINDS[value], last.at)


def _service(view: FoundationView) -> tuple[str, str]:
    if view.service is None:
        return "none was found", ""
    ready = view.endpoints.ready_addresses if view.endpoints is not None else ()
    return f"{view.service.metadata.name}, ready endpoints: {', '.join(ready) or 'none'}", "good" if ready else "bad"


def _cloud_controller(view: FoundationView, foundation: Foundation) -> tuple[str, str]:
    found = assess.components(view, foundation.cloud_controller.statefulset)
    if found is None:
        return UNKNOWN, "unknown"
    ready, desired = sum(len(each.ready) for each in found), sum(each.desired for each in found)
    pods = ", ".join(f"{pod.name} {state(pod)}" for each in found for pod in each.pods)
    kind = "good" if ready >= desired > 0 else "bad"
    return f"{ready} of {desired} ready" + (f" ({pods})" if pods else ""), kind


def _pods(view: FoundationView, foundation: Foundation, *, now: float) -> Iterable[PodLine]:
    active = assess.leaders(view, foundation)
    for pod in assess.diego_api_pods(view, foundation):
        said = listens(view, pod, foundation, now=now) if foundation.diego_api.probe_pods else UNKNOWN
        yield PodLine(
            name=pod.name,
            state=state(pod),
            state_kind="good" if pod.fully_ready and not pod.terminating else "bad",
            label="active" if pod in active else "not active",
            listens=said,
            listens_kind={"accepts": "good", UNKNOWN: "unknown"}.get(said, ""),
        )
