"""Whether the programs themselves run."""

from grafana_foundation_sdk.builders import statetimeline, table, timeseries

from dashboards.panels import GREEN, RED, Column, counts, lines, timeline
from dashboards.queries import Query, latest, number_of

_JOBS = 'job=~"diego-exporter|diego-webhook"'


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
        counts(
            "Notifications by code",
            "Responses of the webhooks to Alertmanager. 401: the bearer token differs. 400, 413 or 415: the caller is"
            " not Alertmanager. 503: the notification could not be recorded, and Alertmanager sends it again; check"
            " the permission on the ConfigMap and the API server.",
            "sum by (code) (increase(diego_webhook_notifications_total[$__rate_interval])) > 0",
            legend="{{code}}",
            no_value="no notification",
        ),
        counts(
            "Alerts by reason",
            "How the alerts in the notifications were handled. Many for an unknown foundation: its name in the alert's"
            " label and in the config differ; nothing is done for it until they agree.",
            "sum by (status, reason) (increase(diego_webhook_alerts_total[$__rate_interval])) > 0",
            legend="{{status}}: {{reason}}",
            no_value="no alert",
        ),
        counts(
            "Crashes",
            "How often the work on a foundation crashed in a webhook and was started again. Any number: the log has the"
            " traceback; please report it. Many: `/-/healthy` fails, and nothing is repaired.",
            number_of("diego_webhook_medic_restarts_total", by="foundation"),
            legend="{{foundation}}",
            span=24,
        ),
    ]
