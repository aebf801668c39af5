"""What the exporter observes: a foundation now, the BBS's reachability, every diego-api pod, the view's age."""

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common

from dashboards.panels import BLUE, GREEN, RED, YELLOW, now, series, thresholds, timeline
from dashboards.queries import FOUNDATION_OR_NONE, Query, latest, rate

EXPORTER = 'vantage="exporter"'

_EXACTLY_ONE = thresholds(RED, (1, GREEN), (2, RED))
_YES = thresholds(RED, (1, GREEN))
_NONE_MISSING = thresholds(GREEN, (1, RED))

# In seconds. A healthy view is at most 40 s old: each watch gets a bookmark at least every 30 s.
_AGE = thresholds(GREEN, (60, YELLOW), (120, RED))


def now_panels() -> list[stat.Panel]:
    """Whether it is broken now: the row that is repeated for each foundation."""
    missing = f"{latest('diego_cloud_controller_pods_desired')} - {latest('diego_cloud_controller_pods_ready')}"
    return [
        now(
            "BBS reachable",
            "A TCP connect from the exporter to the BBS. Red: `cf push` fails with CF-StagerUnavailable (170010);"
            " running apps keep running. Let the remediation work; if it does not, run `diego-runbook check"
            " FOUNDATION`. Unknown: the probe is inconclusive, or no exporter is up; see *The programs*.",
            latest("diego_bbs_tcp_reachable", where=EXPORTER),
            levels=_YES,
            texts={0: ("unreachable", RED), 1: ("reachable", GREEN)},
        ),
        now(
            "Active leaders",
            "Number of diego-api pods that carry the active label. It should be one. Red, none: no BBS holds the lock;"
            " check Locket's database. Red, two or more: for a few seconds a failover, otherwise a split brain or a"
            " stale label; compare with the serving pods, and do not restart before a person has checked.",
            latest("diego_bbs_active_leaders"),
            levels=_EXACTLY_ONE,
            texts={0: ("none", RED)},
        ),
        now(
            "Serving pods",
            "Number of diego-api pods that accept connections at their own address, with or without the label. It"
            " should be one. Red, none: no BBS got the lock; a restart helps if the database is up. Red, two or more:"
            " a split brain; a person must decide which pod to keep.",
            latest("diego_bbs_serving_pods"),
            levels=_EXACTLY_ONE,
            texts={0: ("none", RED)},
        ),
        now(
            "diego-api",
            "Whether enough diego-api pods are fully ready. Readiness says nothing about leadership. Red: find the pod"
            " and the container below, then `kubectl describe` that pod.",
            latest("diego_api_ready"),
            levels=_YES,
            texts={0: ("not ready", RED), 1: ("ready", GREEN)},
        ),
        now(
            "Age of the view",
            "Time since the exporter last confirmed the state of the foundation's pods. Red: the Kubernetes API does"
            " not answer the exporter, so do not trust the values of pods; check the API server and the exporter's"
            " log.",
            f"time() - {latest('diego_kubernetes_last_sync_timestamp_seconds')}",
            levels=_AGE,
            unit="s",
        ),
        now(
            "Cloud Controller",
            "Number of its pods that are not fully ready. Red: a run checks from the ready ones whether they reach the"
            " BBS, and cannot prove anything if there are none; repair the Cloud Controller (`kubectl get pod`) before"
            " Diego.",
            missing,
            levels=_NONE_MISSING,
            texts={0: ("all ready", GREEN)},
            unit="suffix: not ready",
        ),
    ]


def reachability_panels() -> list[statetimeline.Panel | timeseries.Panel]:
    """Since when, and how it is known."""
    of_alerts = f'alertname=~"Diego.+", {FOUNDATION_OR_NONE}'
    return [
        timeline(
            "Alerts",
            "The alerts of diego-medic. Red, firing: its `runbook_url` says what to do; those with"
            " `remediation=restart-diego-api` are handled by the webhook. Also empty if Prometheus did not load the"
            " rules.",
            [
                # One line for each alert: without an aggregation, pending and firing are two series.
                Query(
                    expr=f'max by (alertname, foundation) (ALERTS{{alertstate="pending", {of_alerts}}} * 1'
                    f' or ALERTS{{alertstate="firing", {of_alerts}}} * 2)',
                    legend="{{alertname}} {{foundation}}",
                )
            ],
            texts={1: ("pending", YELLOW), 2: ("firing", RED)},
            no_value="no alert is pending or firing",
        ),
        timeline(
            "Reachable",
            "The BBS from the exporter and, during a run, from inside the Cloud Controller; Locket and its database if"
            " they are configured. Red BBS, the others green: the incident that a restart repairs. Red database or"
            " Locket: repair it first, no BBS can lead without it. The two vantages disagree: check the Service and the"
            " network between them.",
            [
                Query(
                    expr=latest("diego_bbs_tcp_reachable", by="foundation, vantage"),
                    legend="{{foundation}}: BBS from the {{vantage}}",
                ),
                Query(expr=latest("diego_database_tcp_reachable"), legend="{{foundation}}: database"),
                Query(expr=latest("diego_locket_tcp_reachable"), legend="{{foundation}}: Locket"),
            ],
            texts={0: ("unreachable", RED), 1: ("reachable", GREEN)},
        ),
        timeline(
            "Answers of the BBS",
            "Whether the BBS answers a call that reads its database, only with `bbs.tls`. Red: it accepts, but its"
            " database is silent or overloaded; check that first, a restart may not help. A gap while it is reachable:"
            " the call is inconclusive, most often for a certificate; read the exporter's log.",
            [Query(expr=latest("diego_bbs_answers", where=EXPORTER), legend="{{foundation}}")],
            texts={0: ("does not answer", RED), 1: ("answers", GREEN)},
        ),
        series(
            "Probes by result",
            "Probes of the BBS by result. Refused: the address answers, nothing listens. Timeout or unreachable: the"
            " network is broken. Dns: no endpoint, or no DNS. Reset and tls: something listens and closes the"
            " connection; check the certificates. Error: none of these; read the exporter's log.",
            [
                Query(
                    expr=f"{rate('diego_bbs_probes_total', by='foundation, vantage, result')} > 0",
                    legend="{{foundation}} from the {{vantage}}: {{result}}",
                )
            ],
            unit="cps",
            draw=common.GraphDrawStyle.BARS,
        ),
        series(
            "Duration of probes",
            "Median and 99th percentile. Above one second: the BBS or the network is overloaded, and time-outs may"
            " follow; check the BBS's own metrics before you restart anything.",
            [
                Query(
                    expr=f"histogram_quantile({quantile}, "
                    f"{rate('diego_bbs_probe_duration_seconds_bucket', by='foundation, vantage, le')})",
                    legend=f"{{{{foundation}}}} from the {{{{vantage}}}}: {name}",
                )
                for quantile, name in ((0.5, "median"), (0.99, "p99"))
            ],
            unit="s",
            levels=thresholds(GREEN, (1, RED)),
        ),
    ]


def pod_panels() -> list[statetimeline.Panel | timeseries.Panel]:
    """Which pod leads, serves, is ready; a gap means that the pod does not exist or is unknown."""
    pod = "foundation, pod"
    legend = "{{foundation}} {{pod}}"
    count = [("desired", "desired"), ("ready", "ready"), ("terminating", "terminating")]
    return [
        timeline(
            "Leader by label",
            "Which pod carries the active label. It should be one at a time. None green for more than a minute: there"
            " is no leader. Green here but not serving below: the label is stale.",
            [Query(expr=latest("diego_api_pod_active", by=pod), legend=legend)],
            texts={0: ("passive", BLUE), 1: ("active", GREEN)},
        ),
        timeline(
            "Serving",
            "Which pod accepts connections at its own address; a passive one does not listen, by design. None green:"
            " no BBS holds the lock; check the database. Two green for more than a few seconds: a split brain; do not"
            " restart, a person must decide. Green here but passive above: the Service does not route to the leader.",
            [Query(expr=latest("diego_api_pod_serving", by=pod), legend=legend)],
            texts={0: ("not listening", BLUE), 1: ("serving", GREEN)},
        ),
        timeline(
            "Fully ready",
            "Running, with every container ready. Red for more than a few minutes: `kubectl describe` the pod and read"
            " the logs of the container that is not ready.",
            [Query(expr=latest("diego_api_pod_ready", by=pod), legend=legend)],
            texts={0: ("not ready", RED), 1: ("ready", GREEN)},
        ),
        timeline(
            "Containers that are not ready",
            "In each diego-api pod, as in kubectl's READY column. Red: that many are not ready; `kubectl logs"
            " --previous` shows why one restarted.",
            [
                Query(
                    expr=f"{latest('diego_api_pod_containers', by=pod)}"
                    f" - {latest('diego_api_pod_containers_ready', by=pod)}",
                    legend=legend,
                )
            ],
            texts={0: ("none", GREEN)},
            levels=_NONE_MISSING,
            height=8,
            span=12,
        ),
        series(
            "Restarts of containers",
            "Since each pod was created; a step up is a restart. Repeated steps: the container crashes, and another"
            " restart of the pod does not help; read `kubectl logs --previous`.",
            [Query(expr=latest("diego_api_pod_container_restarts_total", by=pod), legend=legend)],
            decimals=0,
        ),
        series(
            "Changes of the leader",
            "Since the exporter started; a step up means that the active label moved to another pod, or that no pod had"
            " it. One step: a failover. More than four within half an hour: Locket or its database fails now and then;"
            " check them before no BBS gets the lock any more.",
            [Query(expr=latest("diego_bbs_leader_changes_total"), legend="{{foundation}}")],
            decimals=0,
            span=8,
        ),
        series(
            "diego-api pods",
            "Ready below desired for more than a few minutes: find the pod above. Terminating for more than its grace"
            " period: its node is probably down; a person must remove the pod.",
            [
                Query(expr=latest(f"diego_api_pods_{name}"), legend=f"{{{{foundation}}}}: {text}")
                for name, text in count
            ],
            decimals=0,
            span=8,
        ),
        series(
            "Cloud Controller pods",
            "Ready below desired: the Cloud Controller itself is degraded. With none ready the remediation cannot"
            " prove that the BBS is unreachable, and does nothing; repair these pods first.",
            [
                Query(expr=latest(f"diego_cloud_controller_pods_{name}"), legend=f"{{{{foundation}}}}: {name}")
                for name in ("desired", "ready")
            ],
            decimals=0,
            span=8,
        ),
    ]


def view_panels() -> list[statetimeline.Panel | timeseries.Panel]:
    """Whether the rows above can be trusted."""
    return [
        series(
            "Age of what is known",
            "Time since the last update from Kubernetes, and since the last probe of the BBS; the newest of all"
            " exporters. Above the red line: the panels show old values. Check the Kubernetes API, then the exporter's"
            " log.",
            [
                Query(
                    expr=f"time() - {latest('diego_kubernetes_last_sync_timestamp_seconds')}",
                    legend="{{foundation}}: pods",
                ),
                Query(
                    expr=f"time() - {latest('diego_bbs_last_probe_timestamp_seconds', where=EXPORTER)}",
                    legend="{{foundation}}: BBS",
                ),
            ],
            unit="s",
            levels=_AGE,
        ),
        series(
            "Requests to Kubernetes by code",
            "Requests of the exporters. Codes 401 and 403: credentials or permissions, see docs/install.md. 429, 5xx,"
            " timeout and error: the API server is overloaded, down or unreachable. An occasional 410 is normal: a"
            " watch restarts.",
            [
                Query(
                    expr=f"{rate('diego_kubernetes_requests_total', by='foundation, verb, code')} > 0",
                    legend="{{foundation}}: {{verb}} {{code}}",
                )
            ],
            unit="cps",
            draw=common.GraphDrawStyle.BARS,
        ),
        timeline(
            "In sync, by exporter",
            "Whether the watches of each exporter are in sync. All red: the API server does not answer. One red: that"
            " exporter cannot reach it; read its log. Its last values are kept for `staleness` and are then absent.",
            [
                Query(
                    expr=latest("diego_kubernetes_synced", by="foundation, instance"),
                    legend="{{foundation}} by {{instance}}",
                )
            ],
            texts={0: ("lost", RED), 1: ("in sync", GREEN)},
        ),
    ]
