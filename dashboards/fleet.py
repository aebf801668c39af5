"""The dashboard *Diego fleet*: a line for each foundation, the ones in trouble first."""

from grafana_foundation_sdk.builders import stat, statetimeline, table
from grafana_foundation_sdk.models import dashboard as model

from dashboards.evidence import EXPORTER
from dashboards.frame import Row, dashboard
from dashboards.panels import BLUE, GREEN, GREY, ORANGE, RED, UNKNOWN, YELLOW, Column, lines, now, thresholds, timeline
from dashboards.queries import Query, latest

# The worst first: a foundation is in the first of these that applies. Unknown is worse than what a person can see.
_TROUBLE = (
    (7, "BBS unreachable", RED, f"{latest('diego_bbs_tcp_reachable', where=EXPORTER)} == 0"),
    (6, "no active BBS", RED, f"{latest('diego_bbs_active_leaders')} == 0"),
    (5, "several active BBSs", RED, f"{latest('diego_bbs_active_leaders')} > 1"),
    (4, "breaker open", RED, f"{latest('diego_remediation_breaker_open')} == 1"),
    (
        3,
        "unknown",
        UNKNOWN,
        f"{latest('diego_foundation_info')} unless {latest('diego_bbs_tcp_reachable', where=EXPORTER)}",
    ),
    (2, "waits for a person", ORANGE, f"{latest('diego_remediation_awaiting_approval')} == 1"),
    (1, "diego-api not ready", YELLOW, f"{latest('diego_api_ready')} == 0"),
)
_WORDS = {0: ("fine", GREEN), **{number: (text, color) for number, text, color, _ in _TROUBLE}}


def build() -> model.Dashboard:
    """The whole dashboard."""
    return dashboard(
        title="Diego fleet",
        uid="diego-fleet",
        description="All foundations of diego-medic at a glance: which one is in trouble, and what is done about it.",
        rows=[
            Row(title="How many are in trouble", panels=_counts()),
            Row(title="Foundation by foundation", panels=[_table(), _over_time()]),
        ],
    )


def trouble() -> str:
    """The worst trouble of each foundation as a number; 0 is none. Without data there is no series."""
    worst = " or ".join(f"({expr}) * 0 + {number}" for number, _, _, expr in _TROUBLE)
    return f"{worst} or {latest('diego_foundation_info')} * 0"


def _counts() -> list[stat.Panel]:
    known = f"count({latest('diego_foundation_info')})"

    def number(condition: str) -> str:
        # Without any foundation the number is unknown and not zero.
        return f"count(({trouble()}) {condition}) or {known} * 0"

    return [
        _none_is_good(
            "Broken",
            "Foundations whose BBS is unreachable, without an active BBS, or with several. Red: open the first line"
            " below in *Diego foundations*; the remediation handles the first two kinds.",
            number(">= 5"),
        ),
        _none_is_good(
            "A person must act",
            "Foundations whose breaker is open or whose run waits for approval. Red: `diego-runbook history FOUNDATION`"
            " says what happened; then `reset` or `approve`.",
            f"count(({trouble()}) == 4 or ({trouble()}) == 2) or {known} * 0",
        ),
        _none_is_good(
            "Unknown",
            "Foundations whose BBS can neither be proved reachable nor unreachable. Red: check the exporter's log; an"
            " incident there would not be noticed.",
            number("== 3"),
        ),
        _none_is_good(
            "Not ready",
            "Foundations with a BBS, but with too few ready diego-api pods. Red: the next failover may fail; find the"
            " pod in *Diego foundations*.",
            number("== 1"),
        ),
        now(
            "Runs in progress",
            "Runs of the remediation at this moment. Red, five or more at once: look for one cause, such as a shared"
            " database or network.",
            f"sum({latest('diego_remediation_run_in_progress')})",
            levels=thresholds(GREEN, (1, BLUE), (5, RED)),
            texts={0: ("none", GREEN)},
        ),
        now(
            "Foundations",
            "Foundations in the exporters' config. Too few: add the missing one to the config, or check whether an"
            " exporter is down; nothing watches it.",
            known,
            levels=thresholds(RED, (1, GREEN)),
        ),
    ]


def _none_is_good(title: str, description: str, expr: str) -> stat.Panel:
    """A number that is red from one on."""
    return now(title, description, expr, levels=thresholds(GREEN, (1, RED)), texts={0: ("none", GREEN)})


def _table() -> table.Panel:
    yes_no = {0: ("no", GREY)}
    return lines(
        "Foundations, trouble first",
        "Red: choose that foundation above and open *Diego foundations*, which shows the evidence. Unknown in every"
        " column: no exporter is up. The view's age is red in *Diego foundations* after two minutes.",
        [
            Column(title="trouble", expr=trouble(), mappings=_WORDS),
            Column(
                title="BBS",
                expr=latest("diego_bbs_tcp_reachable", where=EXPORTER),
                mappings={0: ("unreachable", RED), 1: ("reachable", GREEN)},
            ),
            Column(title="active leaders", expr=latest("diego_bbs_active_leaders")),
            Column(title="serving pods", expr=latest("diego_bbs_serving_pods")),
            Column(title="ready pods", expr=latest("diego_api_pods_ready")),
            Column(
                title="run in progress",
                expr=latest("diego_remediation_run_in_progress"),
                mappings={**yes_no, 1: ("yes", BLUE)},
            ),
            Column(
                title="run queued", expr=latest("diego_remediation_wanted"), mappings={**yes_no, 1: ("yes", YELLOW)}
            ),
            Column(title="paused", expr=latest("diego_remediation_paused"), mappings={**yes_no, 1: ("yes", ORANGE)}),
        ],
        keys=["foundation"],
        join="foundation",
        newest_first="trouble",
        height=16,
        span=24,
    )


def _over_time() -> statetimeline.Panel:
    return timeline(
        "Trouble over time",
        "The worst trouble of each foundation. Red at many foundations at the same moment: one cause, such as a shared"
        " database or network. Gaps: no exporter was up.",
        [Query(expr=trouble(), legend="{{foundation}}")],
        texts=_WORDS,
        height=16,
    )
