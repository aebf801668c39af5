"""The closed lists of docs/runs.md: of alerts, decisions, steps, outcomes, reasons and pods, with their meanings."""

from collections.abc import Callable
from enum import StrEnum

from exporter.config.docstrings import below_fields
from reference.pages import code, table
from webhook.metrics import kind_of
from webhook.record.advice import NEXT
from webhook.record.journal import Outcome, PodState, StepResult
from webhook.record.reasons import RunReason
from webhook.requests.decision import DecisionReason
from webhook.requests.notification import AlertReason


def tables() -> dict[str, str]:
    """The tables of docs/runs.md."""
    return {
        "alerts": _members(AlertReason, "reason"),
        "decisions": _members(DecisionReason, "reason", decision=lambda each: code(kind_of(DecisionReason(each)))),
        "results": _members(StepResult, "result"),
        "outcomes": _members(Outcome, "outcome"),
        "reasons": table(
            ["reason", "meaning", "what to look at"],
            [[code(each), each.sentence, NEXT[each]] for each in RunReason],
        ),
        "pods": _members(PodState, "state"),
    }


def _members(kind: type[StrEnum], head: str, **more: Callable[[StrEnum], str]) -> str:
    """A table of the members of an enum; raises KeyError for one without a sentence below it."""
    texts = below_fields(kind)
    return table(
        [head, *more, "meaning"],
        [[code(each), *(column(each) for column in more.values()), texts[each.name]] for each in kind],
    )
