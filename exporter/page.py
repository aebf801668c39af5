"""The exporter's page: each foundation in a sentence, with what it rests on, and where to go from here."""

from collections.abc import Iterable
from html import escape

from exporter.clock import ago, utc_text
from exporter.foundation.summary import Fact, PodLine, Summary, sentence, summarize
from exporter.gauges import ViewAt
from exporter.serving.html import SYMBOLS, badge, cell, document, table

_LINKS = {"Metrics": "metrics", "healthy": "-/healthy", "ready": "-/ready"}
_PODS = ("Pod", "State", "Label", "Listens")


def render(looks: Iterable[tuple[ViewAt, str]]) -> str:
    """The page, from each foundation as it is seen, with what is wrong between us and its API server."""
    cards = "".join(_card(look, error) for look, error in looks)
    hint = '<p class="faint">This page shows one moment. Reload it for the next.</p>\n'
    return document("diego-exporter", cards + hint, links=_LINKS)


def _card(look: ViewAt, error: str) -> str:
    foundation = look.foundation
    seen = summarize(look.view, foundation, now=look.now, error=error)
    kind, word = _judged(seen)
    name = escape(foundation.name)
    found = "".join(f"<li><strong>{escape(each.name)}</strong>: {escape(each.text)}</li>\n" for each in seen.findings)
    pods = table("diego-api pods", _PODS, map(_pod, seen.pods)) if seen.pods else ""
    facts = "".join(_fact(fact, look.now) for fact in seen.facts)
    return f"""<section class="card state {kind}" aria-labelledby="{name}">
<div class="title"><h2 id="{name}">{name}</h2>{badge(word, kind)}</div>
<p class="sentence">{escape(sentence(seen.reachable))}</p>
{f"<ul>{found}</ul>" if found else ""}
{pods}<dl class="facts">
<dt>Profile, namespace</dt><dd>{escape(foundation.profile)}, {escape(foundation.namespace)}</dd>
{facts}</dl>
</section>
"""


def _judged(seen: Summary) -> tuple[str, str]:
    if seen.reachable is None:
        return "unknown", "unknown"
    if not seen.reachable:
        return "bad", "broken"
    if not seen.fresh:
        return "unknown", "reachable, the rest unknown"
    return ("needs", "degraded") if seen.findings else ("good", "healthy")


def _pod(pod: PodLine) -> tuple[str, ...]:
    return (
        cell(pod.name, heads=True),
        cell(pod.state, pod.state_kind),
        cell(pod.label),
        cell(pod.listens, pod.listens_kind),
    )


def _fact(fact: Fact, now: float) -> str:
    when = ""
    if fact.at is not None:
        when = f' <span class="faint">{ago(now - fact.at)}, {utc_text(fact.at)}</span>'
    mark = f'<span aria-hidden="true">{SYMBOLS[fact.kind]}</span> ' if fact.kind else ""
    class_ = f' class="{fact.kind}"' if fact.kind else ""
    return f"<dt>{escape(fact.name)}</dt><dd{class_}>{mark}{escape(fact.text)}{when}</dd>\n"
