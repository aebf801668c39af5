"""The frame of the programs' pages: one style sheet, a policy that allows nothing else, and small pieces of HTML.

A page is one response. Style and script stand in it, and the policy names their hashes: there is no other request, and
nothing that a pod or an alert said can run.
"""

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

from aiohttp import web

SYMBOLS: Final = {"good": "✓", "bad": "✕", "busy": "↻", "needs": "!", "unknown": "?"}
"""What stands beside each colour."""
ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='4' fill='%230a58a6'/%3E"
    "%3Cpath d='M3 8h3l1.5-4 2 8L11 8h2' fill='none' stroke='white' stroke-width='1.6'/%3E%3C/svg%3E"
)


@cache
def style() -> str:
    """The style sheet; read when the first page is asked for."""
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


@cache
def _policy(script: str) -> str:
    """The Content-Security-Policy of a page with this script, if any."""
    scripts = f"script-src {_hash(script)}; connect-src 'self'; " if script else ""
    return (
        f"default-src 'none'; style-src {_hash(style())}; {scripts}img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def respond(page: str, *, script: str = "", status: int = 200) -> web.Response:
    """A page as a response; `script` is the text of its only script element."""
    headers = {
        "Content-Security-Policy": _policy(script),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",  # `no-referrer` would also take the Origin from a form
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return web.Response(text=page, content_type="text/html", charset="utf-8", status=status, headers=headers)


def document(title: str, body: str, *, links: dict[str, str]) -> str:
    """A page: its title, links, and a body, which is HTML already."""
    anchors = " ".join(f'<a href="{escape(to)}">{escape(text)}</a>' for text, to in links.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="{ICON}">
<style>{style()}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top"><h1>{escape(title)}</h1><nav aria-label="Links">{anchors}</nav></header>
<main id="main">
{body}</main>
</body>
</html>
"""


def badge(word: str, kind: str) -> str:
    """A word with the colour and the symbol of `kind`."""
    return (
        f'<span class="badge {kind}"><span class="mark" aria-hidden="true">{SYMBOLS[kind]}</span>{escape(word)}</span>'
    )


def table(caption: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already; the first of each row is its heading."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return (
        f"<table>\n<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"
    )


def cell(text: str, kind: str = "", *, heads: bool = False) -> str:
    """A cell with this text; `kind` is a key of `SYMBOLS`, or nothing. `heads`: it is the heading of its row."""
    mark = f'<span aria-hidden="true">{SYMBOLS[kind]}</span> ' if kind else ""
    opening = '<th scope="row"' if heads else "<td"
    class_ = f' class="{kind}"' if kind else ""
    return f"{opening}{class_}>{mark}{escape(text)}{'</th>' if heads else '</td>'}"
