"""The exporter's landing page: the foundations with what is known of each, and where to go from here."""

from collections.abc import Iterable

from exporter.foundation import assess
from exporter.foundation.view import Component
from exporter.gauges import ViewAt
from exporter.serving.html import cell, document, table

_HEADINGS = (
    "Foundation",
    "Profile",
    "Namespace",
    "BBS",
    "Active",
    "Serving",
    "diego-api ready",
    "Cloud Controller ready",
    "Kubernetes",
)


def render(rows: Iterable[tuple[ViewAt, str]]) -> str:
    """The page, from each foundation as it is seen, with what is wrong between us and its API server."""
    return document("diego-exporter", table(_HEADINGS, (_row(look, error) for look, error in rows)))


def _row(look: ViewAt, error: str) -> tuple[str, ...]:
    foundation, view = look.foundation, look.view
    reachable = assess.bbs_reachable(view, foundation, now=look.now)
    last = view.bbs.last.result.value if view.bbs.last else "not probed yet"
    leaders = len(assess.leaders(view, foundation)) if look.diego_api is not None else None
    serving = assess.serving(view, foundation, now=look.now).count if look.diego_api is not None else None
    return (
        cell(foundation.name),
        cell(foundation.profile),
        cell(foundation.namespace),
        _judged(f"{_word(reachable)} ({last})", reachable),
        _counted(leaders),
        _counted(serving if foundation.diego_api.probe_pods else None),
        _ready(look.diego_api, foundation.diego_api.min_ready),
        _ready(look.cloud_controller, None),
        _judged("in sync" if view.synced else error or "not read yet", view.synced or None),
    )


def _word(reachable: bool | None) -> str:
    return {True: "reachable", False: "unreachable", None: "unknown"}[reachable]


def _counted(count: int | None) -> str:
    return _judged("unknown" if count is None else str(count), None if count is None else count == 1)


def _ready(found: tuple[Component, ...] | None, min_ready: int | None) -> str:
    if found is None:
        return _judged("unknown", None)
    ready = sum(len(component.ready) for component in found)
    desired = sum(component.desired for component in found)
    return _judged(f"{ready} of {desired}", ready >= assess.pods_needed(found, min_ready) > 0)


def _judged(text: str, good: bool | None) -> str:
    return cell(text, {True: "good", False: "bad", None: "unknown"}[good])
