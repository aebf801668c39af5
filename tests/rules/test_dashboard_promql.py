"""The PromQL of the dashboards: documented metrics, right with several replicas, accepted by Prometheus itself."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import dashboard as reading
from tests.support.tools import need

DASHBOARDS = reading.load()
PANEL_QUERIES = [query for dashboard in DASHBOARDS.values() for query in reading.panel_queries(dashboard)]
QUERIES = PANEL_QUERIES + [
    query for dashboard in DASHBOARDS.values() for query in reading.annotation_queries(dashboard)
]

# The metrics as they are documented. *State* is what is so, told alike by every replica; it is never summed, though a
# pod's restarts and the leader's changes are counters. *Deeds* are what one process did; they are summed over replicas.
STATE = {
    "diego_bbs_tcp_reachable",
    "diego_bbs_last_probe_timestamp_seconds",
    "diego_bbs_answers",
    "diego_bbs_active_leaders",
    "diego_bbs_serving_pods",
    "diego_bbs_leader_changes_total",
    "diego_api_ready",
    "diego_api_pods_desired",
    "diego_api_pods_ready",
    "diego_api_pods_terminating",
    "diego_api_pod_ready",
    "diego_api_pod_active",
    "diego_api_pod_serving",
    "diego_api_pod_containers",
    "diego_api_pod_containers_ready",
    "diego_api_pod_container_restarts_total",
    "diego_cloud_controller_pods_desired",
    "diego_cloud_controller_pods_ready",
    "diego_database_tcp_reachable",
    "diego_locket_tcp_reachable",
    "diego_foundation_info",
    "diego_kubernetes_synced",
    "diego_kubernetes_last_sync_timestamp_seconds",
    "diego_remediation_run_in_progress",
    "diego_remediation_last_run_timestamp_seconds",
    "diego_remediation_breaker_open",
    "diego_remediation_paused",
    "diego_remediation_awaiting_approval",
    "diego_remediation_wanted",
    "diego_remediation_cooldown_end_timestamp_seconds",
    "diego_remediation_mode",
    "diego_webhook_leader",
    "foundation:diego_bbs_tcp_reachable:avg30d",
    "foundation:diego_bbs_tcp_reachable:known30d",
    "foundation:diego_remediation_run_duration_seconds:mean30d",
}
DEEDS = {
    "diego_bbs_probes_total",
    "diego_bbs_probe_duration_seconds_bucket",
    "diego_kubernetes_requests_total",
    "diego_remediation_runs_total",
    "diego_remediation_refusals_total",
    "diego_remediation_run_duration_seconds_bucket",
    "diego_remediation_run_duration_seconds_sum",
    "diego_remediation_run_duration_seconds_count",
    "diego_remediation_steps_total",
    "diego_remediation_step_duration_seconds_sum",
    "diego_remediation_step_duration_seconds_count",
    "diego_remediation_decisions_total",
    "diego_webhook_medic_restarts_total",
}
PROGRAM_STATE = {  # of a process, so without a foundation
    f"diego_{program}_{name}"
    for program in ("exporter", "webhook")
    for name in (
        "build_info",
        "config_last_reload_successful",
        "config_last_reload_success_timestamp_seconds",
    )
}
PROGRAM_DEEDS = {"diego_webhook_notifications_total", "diego_webhook_alerts_total"}
PROMETHEUS_OWN = {"ALERTS", "up"}


def offenders(keeps: Callable[[reading.Query, reading.Selector], bool]) -> list[tuple[str, str]]:
    """Where a selector does not keep a rule: the query and the metric."""
    return [
        (query.where, selector.metric)
        for query in QUERIES
        for selector in reading.selectors(query.expr)
        if not keeps(query, selector)
    ]


def test_queries_ask_for_documented_metrics_only() -> None:
    documented = STATE | DEEDS | PROGRAM_STATE | PROGRAM_DEEDS | PROMETHEUS_OWN
    assert offenders(lambda _, selector: selector.metric in documented) == []
    assert [query.where for query in QUERIES if not list(reading.selectors(query.expr))] == [], "asks for nothing"


def test_queries_are_for_the_chosen_foundations() -> None:
    def chosen(_: reading.Query, selector: reading.Selector) -> bool:
        if selector.metric == "ALERTS":  # some are about a whole program
            return 'foundation=~"$foundation|"' in selector.matchers
        if selector.metric in STATE | DEEDS:
            return 'foundation=~"$foundation"' in selector.matchers
        return "foundation" not in selector.matchers

    assert offenders(chosen) == []


def test_queries_are_right_with_several_replicas() -> None:
    """State is what any replica tells; deeds are added up."""

    def right(_: reading.Query, selector: reading.Selector) -> bool:
        if selector.metric in DEEDS | PROGRAM_DEEDS:
            return selector.inside[0] in {"rate", "increase"} and selector.inside[1].startswith("sum by (")
        return bool(selector.inside) and selector.inside[0].startswith("max by (")

    assert offenders(right) == []


def test_rates_are_over_the_interval_that_fits_the_scrapes() -> None:
    ranges = {query.where: set(re.findall(r"\[(.*?)\]", query.expr)) for query in QUERIES}
    assert {where for where, found in ranges.items() if not found <= {"$__rate_interval"}} == set()


def _kept(query: reading.Query) -> set[str]:
    """The labels that the query keeps."""
    return {label for by in re.findall(r"by \(([^)]*)\)", query.expr) for label in by.split(", ")}


def _named(query: reading.Query) -> set[str]:
    """The labels that its legend names."""
    return set(re.findall(r"\{\{(\w+)\}\}", query.legend))


def test_legends_name_labels_that_the_query_keeps() -> None:
    assert [query.where for query in QUERIES if not _named(query) <= _kept(query)] == []


def test_no_two_series_of_a_graph_have_the_same_name() -> None:
    graphs = [query for query in QUERIES if not query.instant]
    assert [query.where for query in graphs if not _kept(query) - {"le"} <= _named(query)] == []


def test_every_documented_metric_is_shown() -> None:
    shown = {selector.metric for query in PANEL_QUERIES for selector in reading.selectors(query.expr)}
    assert shown >= STATE | DEEDS | PROGRAM_STATE | PROGRAM_DEEDS


@pytest.mark.parametrize("foundation", ["cf", "(cf|other)", ".+"])  # as Grafana writes one, several, and all
def test_prometheus_accepts_every_query(foundation: str, tmp_path: Path) -> None:
    promtool = need("promtool")
    rules = [
        {
            "record": f"query:number_{number}",
            "expr": reading.substitute(query.expr, foundation=foundation, interval="1m"),
            "labels": {"where": query.where},
        }
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.rules.yml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))

    checked = subprocess.run(
        [promtool, "check", "rules", file], capture_output=True, text=True, timeout=30, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(QUERIES)} rules found" in checked.stdout


def _promtool_test(tmp_path: Path, *, series: dict[str, str], expected: dict[str, list[dict[str, Any]]]) -> None:
    """Has Prometheus evaluate each expression five minutes into the series, scraped every 15 s."""
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": expr, "eval_time": "5m", "exp_samples": samples} for expr, samples in expected.items()
        ],
    }
    file = tmp_path / "queries.test.yml"
    file.write_text(json.dumps({"evaluation_interval": "15s", "tests": [test]}))
    promtool = need("promtool")
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_data_every_query_is_empty_and_none_invents_a_zero(tmp_path: Path) -> None:
    exprs = [reading.substitute(query.expr, foundation=".+", interval="1m") for query in QUERIES]
    _promtool_test(tmp_path, series={}, expected={expr: [] for expr in exprs})


# Two replicas, five minutes in: what each of them tells, and what the panel has to make of it.
REPLICAS = {
    "Active leaders A": ({"diego_bbs_active_leaders": ("1x30", "1x30")}, 1),
    "BBS reachable A": ({'diego_bbs_tcp_reachable{vantage="exporter"}': ("0x30", "1x30")}, 1),
    "Answers of the BBS A": ({'diego_bbs_answers{vantage="exporter"}': ("0x30", "1x30")}, 1),
    "Changes of the leader A": ({"diego_bbs_leader_changes_total": ("3x30", "5x30")}, 5),  # the other started later
    "Serving pods A": ({"diego_bbs_serving_pods": ("_x30", "2x30")}, 2),  # unknown to one of them
    "diego-api A": ({"diego_api_ready": ("_x30", "_x30")}, None),
    "Age of the view A": ({"diego_kubernetes_last_sync_timestamp_seconds": ("200x30", "290x30")}, 10),
    "Cloud Controller A": (
        {
            "diego_cloud_controller_pods_desired": ("2x30", "2x30"),
            "diego_cloud_controller_pods_ready": ("1x30", "1x30"),
        },
        1,
    ),
    "Remediation now A": (
        {
            'diego_remediation_mode{mode="observe"}': ("1x30", "0x30"),
            'diego_remediation_mode{mode="auto"}': ("0x30", "1x30"),
        },
        3,
    ),
    "Remediation now G": ({"diego_remediation_cooldown_end_timestamp_seconds": ("100x30", "420x30")}, 120),
    "Remediation now G, before the first run": ({"diego_remediation_run_in_progress": ("0x30", "0x30")}, 0),
    "Restarts of containers A": ({'diego_api_pod_container_restarts_total{pod="diego-api-0"}': ("3x30", "3x30")}, 3),
    "Probes by result A": (
        {'diego_bbs_probes_total{vantage="exporter", result="refused"}': ("0+15x30", "0+30x30")},
        1 + 2,  # a second
    ),
}


@pytest.mark.parametrize("where", REPLICAS)
def test_two_replicas_tell_one_truth(where: str, tmp_path: Path) -> None:
    query = next(query for query in PANEL_QUERIES if query.where.endswith(f": {where.partition(',')[0]}"))
    told, value = REPLICAS[where]
    series = {}
    for name, both in told.items():
        metric, _, labels = name.rstrip("}").partition("{")
        for replica, values in enumerate(both):
            matchers = ", ".join(filter(None, [labels, 'foundation="cf"', f'instance="{replica}"']))
            series[f"{metric}{{{matchers}}}"] = values
            series[f"{metric}{{{matchers}}}".replace('"cf"', '"other"')] = "9x30"  # another's is not counted in
    expr = reading.substitute(query.expr, foundation="cf", interval="1m")
    result = [] if value is None else [{"labels": "{}", "value": value}]
    _promtool_test(tmp_path, series=series, expected={f"sum({expr})": result})
