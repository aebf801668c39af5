"""The templates, and how values become text in them. Everything is escaped, unless a filter here has made it."""

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from exporter.clock import ago, utc
from exporter.serving.html import ICON, SYMBOLS, style
from webhook.status.progress import pod_words, run_kind, run_sentence, run_word

_TEMPLATES = Path(__file__).parent / "templates"
_AGE = re.compile(r'(<span class="ago"[^>]*>)[^<]*')
_SAME_DAY = 20 * 3600.0
"""Seconds within which a time of day names one moment."""


@cache
def script() -> str:
    """The only script of the pages."""
    return (_TEMPLATES / "live.js").read_text(encoding="utf-8")


def render(template: str, **values: Any) -> str:
    """The text of a template."""
    return _environment().get_template(template).render(values)


def without_ages(html: str) -> str:
    """The text without what changes every second, to compare it; browsers count the seconds themselves."""
    return _AGE.sub(r"\1", html)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"prose": _prose, "duration": _duration}
    made.globals |= {
        "symbols": SYMBOLS,
        "icon": ICON,
        "style": lambda: Markup(style()),  # noqa: S704 - a file of ours
        "script": lambda: Markup(script()),  # noqa: S704 - a file of ours
        "when": _when,
        "utc": utc,
        "run_kind": run_kind,
        "run_word": run_word,
        "run_sentence": run_sentence,
        "pod_words": pod_words,
        "from_timestamp": lambda moment: datetime.fromtimestamp(moment, UTC),
    }
    return made


def _prose(text: str) -> Markup:
    """A sentence; what stands in backticks in it is code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # an odd backtick is of somebody else's text
        return escape(text)
    code = [Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)]
    return Markup("").join(code)


def _when(moment: datetime, now: datetime) -> Markup:
    """A moment: how long ago, which the browser keeps counting, and in UTC; the date only where it is not clear."""
    past = (now - moment).total_seconds()
    return Markup(
        '<span class="faint"><span class="ago" data-at="{at}">{ago}</span>, <time datetime="{iso}">{utc}</time></span>'
    ).format(
        at=round(moment.timestamp(), 3),
        ago=ago(past),
        iso=moment.isoformat(),
        utc=f"{moment:%H:%M:%S}Z" if past < _SAME_DAY else utc(moment),
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
