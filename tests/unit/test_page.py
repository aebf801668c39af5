"""The exporter's landing page."""

import re
from dataclasses import replace

from exporter.foundation.view import FoundationView
from exporter.gauges import ViewAt
from exporter.page import render
from tests.support.foundations import foundation
from tests.support.watched_views import HEALTHY, LEADER, NOW, with_pods


def cells(view: FoundationView, *, error: str = "", now: float = NOW, **changes: object) -> list[tuple[str, str]]:
    """The class and the text of each cell."""
    page = render([(ViewAt(foundation(**changes), view, now), error)])
    return re.findall(r"<td(?: class=\"(\w+)\")?>(.*?)</td>", page)


def test_a_healthy_foundation() -> None:
    view = with_pods(LEADER, replicas=1, p0=True)

    assert cells(view) == [
        ("", "cf"),
        ("", "cfee-2"),
        ("", "cf"),
        ("good", "reachable (success)"),
        ("good", "1"),
        ("good", "1"),
        ("good", "1 of 1"),
        ("bad", "1 of 2"),
        ("good", "in sync"),
    ]


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    assert cells(FoundationView(), error="no <route> to host")[3:] == [
        ("unknown", "unknown (not probed yet)"),
        ("unknown", "unknown"),
        ("unknown", "unknown"),
        ("unknown", "unknown"),
        ("unknown", "unknown"),
        ("unknown", "no &lt;route&gt; to host"),
    ]
    assert cells(HEALTHY, now=NOW + 61)[4] == ("unknown", "unknown")


def test_fewer_pods_may_be_enough() -> None:
    assert cells(with_pods(LEADER), diego_api={"min_ready": 1})[6] == ("good", "1 of 2")
    assert cells(with_pods(LEADER))[6] == ("bad", "1 of 2")


def test_it_leads_to_the_metrics() -> None:
    assert 'href="metrics"' in render([])
    assert cells(replace(HEALTHY, synced=False))[8] == ("unknown", "not read yet")
