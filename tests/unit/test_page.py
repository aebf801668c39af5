"""The exporter's landing page."""

import re
from dataclasses import replace

from exporter.foundation.view import FoundationView
from exporter.gauges import ViewAt
from exporter.page import render
from tests.support.foundations import foundation
from tests.support.watched_views import HEALTHY, LEADER, NOW, PASSIVE, with_pods


def page(view: FoundationView, *, error: str = "", now: float = NOW, **changes: object) -> str:
    return render([(ViewAt(foundation(**changes), view, now), error)])


def plain(html: str) -> str:
    """What is read: the text alone."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split())


def test_a_foundation_is_summed_up_in_a_sentence_and_what_it_rests_on() -> None:
    text = plain(page(with_pods(LEADER, PASSIVE, p0=True, p1=False)))
    assert "The BBS is reachable." in text
    assert "diego-api-0 ✓ 2/2 Running active ✓ accepts" in text
    assert "diego-api-1 ✓ 2/2 Running not active does not accept" in text
    assert "✓ reachable (success) 0 s ago" in text
    assert "cloud-controller-not-ready" in text
    assert "degraded" in text


def test_an_unreachable_bbs_is_broken() -> None:
    refused = replace(HEALTHY.bbs, reachable=False)
    text = plain(page(replace(HEALTHY, bbs=refused)))
    assert "✕ broken The BBS is unreachable: apps cannot be staged." in text


def test_what_is_not_known_is_said_to_be_unknown_and_never_to_be_good() -> None:
    for view, now in ((FoundationView(), NOW), (HEALTHY, NOW + 61)):
        html = page(view, error="no <route> to host", now=now)
        assert "? unknown It is unknown whether the BBS is reachable." in plain(html)
        assert "state good" not in html
        assert "accepts" not in html
    assert "not in sync: no &lt;route&gt; to host" in page(FoundationView(), error="no <route> to host")
    assert "not read yet" in page(replace(HEALTHY, synced=False))


def test_it_leads_to_the_metrics() -> None:
    assert 'href="metrics"' in render([])
