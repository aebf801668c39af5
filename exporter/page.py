"""The exporter's landing page: the foundations with what is known of each, and where to go from here."""

from collections.abc import Iterable
from html import escape

from exporter.foundation import assess
from exporter.foundation.view import Component
from exporter.gauges import ViewAt

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>diego-exporter</title>
<style>
body { font-family: system-ui, sans-serif; margin: 2rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ccc; padding: .4rem .8rem; text-align: left; }
.good { color: #176c2e; } .bad { color: #b3261e; font-weight: bold; } .unknown { color: #6b5900; }
</style>
</head>
<body>
<h1>diego-exporter</h1>
<p><a href="metrics">Metrics</a> · <a href="-/healthy">healthy</a> · <a href="-/ready">ready</a></p>
<table>
<thead><tr><th>Foundation</th><th>Profile</th><th>Namespace</th><th>BBS</th><th>Active</th><th>Serving</th>
<th>diego-api ready</th><th>Cloud Controller ready</th><th>Kubernetes</th></tr></thead>
<tbody>
"""
_TAIL = """</tbody>
</table>
</body>
</html>
"""


def render(rows: Iterable[tuple[ViewAt, str]]) -> str:
    """The page, from each foundation as it is seen, with what is wrong between us and its API server."""
    return _HEAD + "".join(_row(look, error) for look, error in rows) + _TAIL


def _row(look: ViewAt, error: str) -> str:
    foundation, view = look.foundation, look.view
    reachable = assess.bbs_reachable(view, foundation, now=look.now)
    last = view.bbs.last.result.value if view.bbs.last else "not probed yet"
    leaders = len(assess.leaders(view, foundation)) if look.diego_api is not None else None
    serving = assess.serving(view, foundation, now=look.now).count if look.diego_api is not None else None
    cells = [
        _cell(foundation.name),
        _cell(foundation.profile),
        _cell(foundation.namespace),
        _judged(f"{_word(reachable)} ({last})", reachable),
        _counted(leaders),
        _counted(serving if foundation.diego_api.probe_pods else None),
        _ready(look.diego_api, foundation.diego_api.min_ready),
        _ready(look.cloud_controller, None),
        _judged("in sync" if view.synced else error or "not read yet", view.synced or None),
    ]
    return f"<tr>{''.join(cells)}</tr>\n"


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
    return _cell(text, {True: "good", False: "bad", None: "unknown"}[good])


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"
