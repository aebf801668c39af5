"""What the webhook does: its state, its runs, its decisions."""

from grafana_foundation_sdk.builders import heatmap, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common

from dashboards.panels import BLUE, GREEN, GREY, ORANGE, RED, YELLOW, Column, buckets, counts, lines, series, timeline
from dashboards.queries import LAST_RUN, Query, latest, number_of, selector

_MODES = ("observe", "approve", "auto")

# What a foundation's remediation can be in: the gauge, what the time line writes for it, and the colour of a yes.
_STATES = (
    ("run_in_progress", "run in progress", BLUE),
    ("wanted", "run wanted", YELLOW),
    ("awaiting_approval", "awaiting approval", ORANGE),
    ("paused", "paused", ORANGE),
    ("breaker_open", "breaker open", RED),
)


def state_panels() -> list[statetimeline.Panel | table.Panel]:
    """The state in the journal: the same on every webhook."""
    # Before the first disruptive run there is no such series: where the journal is known at all, that is no cooldown.
    cooldown = (
        f"clamp_min({latest('diego_remediation_cooldown_end_timestamp_seconds')} - time(), 0)"
        f" or {latest('diego_remediation_run_in_progress')} * 0"
    )
    return [
        lines(
            "Remediation now",
            "Red, breaker open: too many restarts did not last; find the cause, then `diego-runbook reset FOUNDATION`."
            " Paused: `diego-runbook resume FOUNDATION` when the work is done. Awaiting approval: look at"
            " `diego-runbook show RUN`, then `diego-runbook approve RUN`. All unknown: no webhook is up, or it cannot"
            " read its journal.",
            [
                Column(
                    title="mode",
                    expr=_mode(),
                    mappings={1: ("observe", GREY), 2: ("approve", GREY), 3: ("auto", GREEN)},
                ),
                *(
                    Column(
                        title=text,
                        expr=latest(f"diego_remediation_{name}"),
                        mappings={0: ("no", GREY), 1: ("yes", color)},
                    )
                    for name, text, color in _STATES
                ),
                Column(title="cooldown left", expr=cooldown, unit="s", mappings={0: ("none", GREY)}),
            ],
            keys=["foundation"],
            join="foundation",
            span=24,
        ),
        timeline(
            "Remediation over time",
            "Red, breaker open: no run starts until a person finds the cause and resets it. Yellow for long: a request"
            " is queued until the cooldown ends, and is then decided again.",
            [
                # The number of the state as the value, so that each has a word and a colour of its own.
                Query(
                    expr=f"{latest(f'diego_remediation_{name}')} * {number}",
                    legend=f"{{{{foundation}}}}: {text}",
                )
                for number, (name, text, _) in enumerate(_STATES, start=1)
            ],
            texts={
                0: ("no", GREY),
                **{number: (text, color) for number, (_, text, color) in enumerate(_STATES, start=1)},
            },
            height=8,
        ),
        lines(
            "Last run of each outcome",
            "From the journal, so it survives restarts of the webhook. `failed`: a person must act; `diego-runbook"
            " history FOUNDATION` and `show RUN` name the check and the pod. `unproven` or `refused`: nothing was"
            " deleted, and the reason says why. Empty: there was no run.",
            [Column(title="when", expr=LAST_RUN, unit="dateTimeFromNow")],
            keys=["foundation", "outcome"],
            join="foundation",
            no_value="no run yet",
            newest_first="when",
        ),
        timeline(
            "Who acts, by webhook",
            "The replica that holds the lease and executes runs. There should be one green for each foundation. None:"
            " no run can start; check the webhooks' logs and their permission on the Lease.",
            [
                Query(
                    expr=latest("diego_webhook_leader", by="foundation, instance"),
                    legend="{{foundation}} by {{instance}}",
                )
            ],
            texts={0: ("standby", BLUE), 1: ("leads", GREEN)},
            height=8,
            span=12,
        ),
    ]


def deed_panels() -> list[timeseries.Panel | heatmap.Panel]:
    """What the webhooks did within the time shown."""
    return [
        counts(
            "Runs by outcome",
            "Runs of the webhooks by outcome. Repeatedly `failed`, `unproven` or `refused`: the remediation does not"
            " help; take over with `diego-runbook check FOUNDATION`.",
            f"{number_of('diego_remediation_runs_total', by='foundation, outcome')} > 0",
            legend="{{foundation}}: {{outcome}}",
            no_value="no webhook",
        ),
        series(
            "Duration of runs",
            "Mean duration of the runs that ended within the interval, by outcome. `recovered`: the time to recovery."
            " Usually most of it is the pods' own restart; see *Duration of steps*.",
            [
                # A run is rare: a quantile of one observation is a bucket's border, its mean is the observation.
                Query(
                    expr=f"{number_of('diego_remediation_run_duration_seconds_sum', by='foundation, outcome')}"
                    f" / {number_of('diego_remediation_run_duration_seconds_count', by='foundation, outcome')} >= 0",
                    legend="{{foundation}}: {{outcome}}",
                )
            ],
            unit="s",
            draw=common.GraphDrawStyle.POINTS,
            no_value="no run",
        ),
        buckets(
            "Time to recovery",
            "Number of runs that recovered their foundation, by duration. Many at the upper end: the pods take long to"
            " terminate or to become ready; see *Duration of steps*.",
            number_of("diego_remediation_run_duration_seconds_bucket", by="le", where='outcome="recovered"'),
            unit="s",
            no_value="no run recovered",
        ),
        counts(
            "Runs refused by a guard",
            "Why runs deleted nothing although the BBS was proved unreachable. `split-brain` and `bbs-serving`: a"
            " person must decide; docs/runs.md explains every reason.",
            f"{number_of('diego_remediation_refusals_total', by='foundation, reason')} > 0",
            legend="{{foundation}}: {{reason}}",
            no_value="no run was refused",
        ),
        counts(
            "Decisions by reason",
            "The decision on each request. `refuse` with cooldown or retry is temporary; with any other reason a"
            " person must act: docs/runs.md explains the reasons.",
            f"{number_of('diego_remediation_decisions_total', by='foundation, decision, reason')} > 0",
            legend="{{foundation}}: {{decision}} {{reason}}",
            no_value="no decision",
        ),
        counts(
            "Steps by result",
            "Steps of the runs by result. The run stopped at the first one that is not ok; `diego-runbook show RUN`"
            " has the details.",
            f"{number_of('diego_remediation_steps_total', by='foundation, step, result')} > 0",
            legend="{{foundation}}: {{step}} {{result}}",
            no_value="no step",
        ),
        series(
            "Duration of steps",
            "Mean duration of the steps that ended within the interval; normally `await-ready` takes longest. If it"
            " takes many minutes, a pod is stuck; see *diego-api, pod by pod*.",
            [
                # A run is rare: a quantile of one observation is a bucket's border, its mean is the observation.
                Query(
                    expr=f"{number_of('diego_remediation_step_duration_seconds_sum', by='foundation, step')}"
                    f" / {number_of('diego_remediation_step_duration_seconds_count', by='foundation, step')} >= 0",
                    legend="{{foundation}}: {{step}}",
                )
            ],
            unit="s",
            draw=common.GraphDrawStyle.POINTS,
            no_value="no step",
            span=24,
        ),
    ]


def service_level_panels() -> list[table.Panel]:
    """The last 30 days, from the recording rules."""
    return [
        lines(
            "Last 30 days",
            "Availability of the BBS as the exporter saw it, over the known time; how much of the 30 days is known; and"
            " the mean time to recovery. Low availability: compare with the incidents in *Runs by outcome*."
            " Little is known: the exporter or Prometheus was down. Empty: the recording rules are not loaded.",
            [
                Column(title="available", expr=latest("foundation:diego_bbs_tcp_reachable:avg30d"), unit="percentunit"),
                Column(title="known", expr=latest("foundation:diego_bbs_tcp_reachable:known30d"), unit="percentunit"),
                Column(
                    title="time to recovery",
                    expr=latest("foundation:diego_remediation_run_duration_seconds:mean30d"),
                    unit="s",
                ),
            ],
            keys=["foundation"],
            join="foundation",
            span=24,
        ),
    ]


def _mode() -> str:
    """The mode as a number, from the least to the most permissive: if replicas differ, the most permissive counts."""
    choices = enumerate((selector(f'mode="{mode}"') for mode in _MODES), start=1)
    return f"max by (foundation) ({' or '.join(f'diego_remediation_mode{of_mode} * {n}' for n, of_mode in choices)})"
