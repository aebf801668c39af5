"""The frame of the programs' pages."""

from collections.abc import Iterable
from html import escape

_STYLE = """body { font-family: system-ui, sans-serif; margin: 2rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ccc; padding: .4rem .8rem; text-align: left; vertical-align: top; }
.good { color: #176c2e; } .bad { color: #b3261e; font-weight: bold; } .unknown { color: #6b5900; }"""
_LINKS = {"Metrics": "metrics", "healthy": "-/healthy", "ready": "-/ready"}


def document(title: str, body: str, *, links: dict[str, str] | None = None) -> str:
    """A page: its title, links to what every program serves and to more, and a body, which is HTML already."""
    anchors = " · ".join(f'<a href="{to}">{escape(text)}</a>' for text, to in {**_LINKS, **(links or {})}.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{escape(title)}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{anchors}</p>
{body}</body>
</html>
"""


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"


def cell(text: str, kind: str = "") -> str:
    """A cell with this text; `kind` is `good`, `bad`, `unknown` or nothing."""
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"
