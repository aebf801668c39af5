"""Reading the dashboards' JSON as Grafana does: its panels, its queries, and what their PromQL is made of."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parents[2] / "dashboards"

# PromQL's words that stand where a metric's name could.
_KEYWORDS = {"and", "or", "unless", "bool", "offset", "on", "ignoring", "group_left", "group_right", "inf", "nan"}
_SELECTOR = re.compile(r"(?<![\w$:])([a-zA-Z_:][\w:]*)(\s*\{[^}]*\})?(?!\w|\s*\()")
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and where it stands; `instant` asks for now, the others for the time range shown."""

    where: str
    expr: str
    legend: str
    instant: bool


@dataclass(frozen=True, slots=True)
class Selector:
    """One `metric{matchers}` of an expression, and the functions and aggregations around it, innermost first."""

    metric: str
    matchers: str
    inside: tuple[str, ...]


def load() -> dict[str, dict[str, Any]]:
    """The committed dashboards, by title."""
    read: list[dict[str, Any]] = [json.loads(file.read_text("utf-8")) for file in sorted(DIRECTORY.glob("*.json"))]
    return {dashboard["title"]: dashboard for dashboard in read}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Every panel but the rows' headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def panel_queries(dashboard: dict[str, Any]) -> list[Query]:
    """What the panels ask."""
    title = dashboard["title"]
    return [
        Query(
            f"{title}: {panel['title']} {target['refId']}",
            target["expr"],
            target.get("legendFormat", ""),
            target["instant"],
        )
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def annotation_queries(dashboard: dict[str, Any]) -> list[Query]:
    """What the annotations ask."""
    title = dashboard["title"]
    return [
        Query(
            f"{title}: annotation {annotation['name']}",
            annotation["expr"],
            annotation["textFormat"],
            instant=False,
        )
        for annotation in dashboard["annotations"]["list"]
    ]


def substitute(expr: str, *, foundation: str, interval: str) -> str:
    """The expression as Grafana sends it, with the variables replaced."""
    expr = expr.replace("$foundation", foundation).replace("$__rate_interval", interval)
    assert "$" not in expr, f"a variable that nobody replaces: {expr}"
    return expr


def selectors(expr: str) -> Iterator[Selector]:
    """Every selector of the expression; a plain reading that is enough for the PromQL written here."""
    # A label in by (…) is no metric; blanks keep the positions.
    masked = _GROUPING.sub(lambda found: " " * len(found.group()), expr)
    matchers = [found.span() for found in re.finditer(r"\{[^}]*\}|\[[^\]]*\]", masked)]
    for found in _SELECTOR.finditer(masked):
        name = found.group(1)
        nested = any(start <= found.start() < end for start, end in matchers)
        if not nested and name not in _KEYWORDS:
            yield Selector(name, found.group(2) or "", tuple(_around(expr, found.start())))


def _around(expr: str, position: int) -> Iterator[str]:
    """The text before each parenthesis that is open at `position`, from the inside out."""
    depth = 0
    for index in range(position - 1, -1, -1):
        if expr[index] == ")":
            depth += 1
        elif expr[index] == "(" and depth:
            depth -= 1
        elif expr[index] == "(":
            found = re.search(r"\w+(\s+(by|without)\s+\([^)]*\))?\s*$", expr[:index])
            yield found.group().strip() if found else ""
