"""What the webhook does, and whether the programs themselves run."""

from grafana_foundation_sdk.builders import statetimeline, table, timeseries
from grafana_foundation_sdk.models import common

from dashboards.panels import (
    BLUE,
    GREEN,
    GREY,
    LAST_RUN,
    ORANGE,
    RED,
    YELLOW,
    Column,
    Query,
    latest,
    lines,
    selector,
    series,
    timeline,
)

_JOBS = 'job=~"diego-exporter|diego-webhook"'
_MODES = ("observe", "approve", "auto")

# What a foundation's remediation can be in: the gauge, what the time line writes for it, and the colour of a yes.
_STATES = (
    ("run_in_progress", "run in progress", BLUE),
    ("wanted", "run wanted", YELLOW),
    ("awaiting_approval", "awaiting approval", ORANGE),
    ("paused", "paused", ORANGE),
    ("breaker_open", "breaker open", RED),
)


def remediation_panels() -> list[statetimeline.Panel | timeseries.Panel | table.Panel]:
    """First the state, then decisions and runs."""
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
        series(
            "Runs by outcome",
            "Runs of the webhooks by outcome. Repeatedly `failed`, `unproven` or `refused`: the remediation does not"
            " help; take over with `diego-runbook check FOUNDATION`.",
            [
                Query(
                    expr=f"{_number_of('diego_remediation_runs_total', by='foundation, outcome')} > 0",
                    legend="{{foundation}}: {{outcome}}",
                )
            ],
            draw=common.GraphDrawStyle.BARS,
            decimals=0,
            no_value="no webhook",
        ),
        series(
            "Decisions by reason",
            "The decision on each request. `refuse` with cooldown or retry is temporary; with any other reason a"
            " person must act: docs/runs.md explains the reasons.",
            [
                Query(
                    expr=f"{_number_of('diego_remediation_decisions_total', by='foundation, decision, reason')} > 0",
                    legend="{{foundation}}: {{decision}} {{reason}}",
                )
            ],
            draw=common.GraphDrawStyle.BARS,
            decimals=0,
            no_value="no decision",
        ),
        series(
            "Steps by result",
            "Steps of the runs by result. The run stopped at the first one that is not ok; `diego-runbook show RUN`"
            " has the details.",
            [
                Query(
                    expr=f"{_number_of('diego_remediation_steps_total', by='foundation, step, result')} > 0",
                    legend="{{foundation}}: {{step}} {{result}}",
                )
            ],
            draw=common.GraphDrawStyle.BARS,
            decimals=0,
            no_value="no step",
        ),
        series(
            "Duration of steps",
            "Mean duration of the steps that ended within the interval; normally `await-ready` takes longest. If it"
            " takes many minutes, a pod is stuck; see *diego-api, pod by pod*.",
            [
                # A run is rare: a quantile of one observation is a bucket's border, its mean is the observation.
                Query(
                    expr=f"{_number_of('diego_remediation_step_duration_seconds_sum', by='foundation, step')}"
                    f" / {_number_of('diego_remediation_step_duration_seconds_count', by='foundation, step')} >= 0",
                    legend="{{foundation}}: {{step}}",
                )
            ],
            unit="s",
            draw=common.GraphDrawStyle.POINTS,
            no_value="no step",
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


def program_panels() -> list[statetimeline.Panel | timeseries.Panel | table.Panel]:
    """The exporters and webhooks themselves, mostly without the label `foundation`."""
    kinds = ("exporter", "webhook")
    reload_at = " or ".join(
        f"max by (instance) (diego_{kind}_config_last_reload_success_timestamp_seconds)" for kind in kinds
    )
    return [
        timeline(
            "Scraped",
            "Whether Prometheus reaches the programs. Red or missing: the values above become unknown, or no alert is"
            " handled; check `kubectl get pod` and the program's log.",
            [Query(expr=f"max by (job, instance) (up{{{_JOBS}}})", legend="{{job}} {{instance}}")],
            texts={0: ("down", RED), 1: ("up", GREEN)},
            span=12,
        ),
        timeline(
            "Config as it is on disk",
            "Whether the last reload worked. Red: the program still uses the previous config; `--config.check` reports"
            " every problem with file and line.",
            [
                Query(
                    expr=f"max by (job, instance) (diego_{kind}_config_last_reload_successful)",
                    legend="{{job}} {{instance}}",
                )
                for kind in kinds
            ],
            texts={0: ("last reload failed", RED), 1: ("loaded", GREEN)},
            span=12,
        ),
        lines(
            "Versions",
            "Two versions of one program for longer than a rollout: finish the rollout.",
            [
                Column(
                    title="",
                    expr=" or ".join(f"max by (job, instance, version) (diego_{kind}_build_info)" for kind in kinds),
                ),
                Column(title="config loaded", expr=f"({reload_at}) * 1000", unit="dateTimeFromNow"),
            ],
            keys=["job", "instance", "version"],
            join="instance",
        ),
        lines(
            "Foundations",
            "The foundations in the exporters' config. If one is missing, add it to the config, or read the exporter's"
            " log; it is not monitored, and no alert can fire for it.",
            [Column(title="", expr=latest("diego_foundation_info", by="foundation, profile, namespace"))],
            keys=["foundation", "profile", "namespace"],
            join="foundation",
        ),
        series(
            "Notifications by code",
            "Responses of the webhooks to Alertmanager. 401: the bearer token differs. 400, 413 or 415: the caller is"
            " not Alertmanager. 503: the notification could not be recorded, and Alertmanager sends it again; check"
            " the permission on the ConfigMap and the API server.",
            [
                Query(
                    expr="sum by (code) (increase(diego_webhook_notifications_total[$__rate_interval])) > 0",
                    legend="{{code}}",
                )
            ],
            draw=common.GraphDrawStyle.BARS,
            decimals=0,
            no_value="no notification",
        ),
        series(
            "Alerts by reason",
            "How the alerts in the notifications were handled. Many for an unknown foundation: its name in the alert's"
            " label and in the config differ; nothing is done for it until they agree.",
            [
                Query(
                    expr="sum by (status, reason) (increase(diego_webhook_alerts_total[$__rate_interval])) > 0",
                    legend="{{status}}: {{reason}}",
                )
            ],
            draw=common.GraphDrawStyle.BARS,
            decimals=0,
            no_value="no alert",
        ),
        series(
            "Crashes",
            "How often the work on a foundation crashed in a webhook and was started again. Any number: the log has the"
            " traceback; please report it. Many: `/-/healthy` fails, and nothing is repaired.",
            [Query(expr=_number_of("diego_webhook_medic_restarts_total", by="foundation"), legend="{{foundation}}")],
            draw=common.GraphDrawStyle.BARS,
            decimals=0,
            span=24,
        ),
    ]


def _mode() -> str:
    """The mode as a number, from the least to the most permissive: if replicas differ, the most permissive counts."""
    choices = enumerate((selector(f'mode="{mode}"') for mode in _MODES), start=1)
    return f"max by (foundation) ({' or '.join(f'diego_remediation_mode{of_mode} * {n}' for n, of_mode in choices)})"


def _number_of(metric: str, *, by: str) -> str:
    """Number of events within the interval, summed over the replicas."""
    return f"sum by ({by}) (increase({metric}{selector()}[$__rate_interval]))"
