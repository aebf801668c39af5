"""The rules of Grafana's dashboard-linter, applied to the dashboards; each exception has a reason.

Source: https://github.com/grafana/dashboard-linter, the rule set of `lint/rules.go` and the pages of `docs/rules/`. The
linter itself is a Go program; the rules are written here in our own words. `target-promql-rule` is not here: Prometheus
itself judges each query in `test_dashboard_queries`.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import dashboard as reading
from tests.support.tools import need

DASHBOARDS = reading.load()
Json = dict[str, Any]

# Grafana's names of units, in `packages/grafana-data/src/valueFormats/categories.ts`: those that make sense here.
UNITS = {"none", "s", "cps", "percentunit", "dateTimeFromNow", "bytes", "short"}
WITH_A_UNIT = {"stat", "table", "timeseries", "gauge"}

EVERY_REPLICA = (
    "foundations are chosen, and not replicas: each replica tells the same state, and one with data is enough"
    " (dashboards/queries.py)"
)
EXCEPTIONS = {
    "template-job-rule": {"": EVERY_REPLICA},
    "template-instance-rule": {"": EVERY_REPLICA},
    "target-job-rule": {"": f"{EVERY_REPLICA}; our names of metrics are in no other job"},
    "target-instance-rule": {"": EVERY_REPLICA},
    "panel-units-rule": {
        "Diego foundations: Cloud Controller": "Grafana's `suffix:` says what is counted, where it is not a unit",
        "Diego foundations: Foundations": "a table of labels, without a value",
    },
    "target-counter-agg-rule": {
        "Diego foundations: Changes of the leader A": "every exporter counts the same changes: each step is one",
        "Diego foundations: Restarts of containers A": "a pod's restarts are its state, told alike by every replica",
    },
    "uneditable-dashboard": {
        "": "operators import the file and adapt it; one that is provisioned cannot be saved anyway"
    },
}
"""By rule, and by where it is broken (the beginning of the place): why."""


def _targets() -> Iterator[tuple[str, Json, Json]]:
    """Every target of a panel: where, the panel, the target."""
    for title, dashboard in DASHBOARDS.items():
        for panel in reading.panels(dashboard):
            for target in panel["targets"]:
                yield f"{title}: {panel['title']} {target['refId']}", panel, target


def _panels() -> Iterator[tuple[str, Json]]:
    for title, dashboard in DASHBOARDS.items():
        for panel in reading.panels(dashboard):
            yield f"{title}: {panel['title']}", panel


def _variables(kind: str) -> Iterator[tuple[str, Json]]:
    for title, dashboard in DASHBOARDS.items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == kind:
                yield title, variable


def template_datasource() -> Iterator[str]:
    """One variable for the data source, by a name and with a label that every dashboard has."""
    for title in DASHBOARDS:
        found = [(each["name"], each["label"]) for where, each in _variables("datasource") if where == title]
        if found not in ([("datasource", "Data source")], [("prometheus_datasource", "Prometheus data source")]):
            yield title


def _without_variable(name: str) -> Iterator[str]:
    for title in DASHBOARDS:
        if not any(where == title and each["name"] == name for where, each in _variables("query")):
            yield title


def template_label_promql() -> Iterator[str]:
    """What fills a variable is one of Grafana's functions on a query that Prometheus accepts."""
    for title, variable in _variables("query"):
        query = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        if query is None or not _accepted(query[1]):
            yield title


def _accepted(expr: str) -> bool:
    """Whether Prometheus accepts the expression."""
    rules = {"groups": [{"name": "variable", "rules": [{"record": "query", "expr": expr}]}]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:  # JSON is YAML
        json.dump(rules, file)
        file.flush()
        command = [str(need("promtool")), "check", "rules", file.name]
        return not subprocess.run(command, capture_output=True, timeout=30, check=False).returncode


def template_on_time_change_reload() -> Iterator[str]:
    """A variable is read again when the time range changes."""
    return (title for title, variable in _variables("query") if variable["refresh"] != 2)


def panel_datasource() -> Iterator[str]:
    return (where for where, panel in _panels() if panel["datasource"]["uid"] != "${datasource}")


def panel_title_description() -> Iterator[str]:
    return (where for where, panel in _panels() if not panel.get("title") or not panel.get("description"))


def panel_units() -> Iterator[str]:
    """Each unit is one of Grafana's, and a panel with values has one: for all, or for each column."""
    for where, panel in _panels():
        config = panel["fieldConfig"]
        overrides = [each["value"] for one in config["overrides"] for each in one["properties"] if each["id"] == "unit"]
        units = [unit for unit in (config["defaults"].get("unit"), *overrides) if unit is not None]
        if panel["type"] in WITH_A_UNIT and (not units or not set(units) <= UNITS):
            yield where


def panel_no_targets() -> Iterator[str]:
    return (where for where, panel in _panels() if not panel["targets"])


def _no_logs() -> Iterator[str]:
    """There is no Loki here, whose rules these are."""
    return (where for where, _, target in _targets() if target["datasource"]["type"] != "prometheus")


def target_rate_interval() -> Iterator[str]:
    for where, _, target in _targets():
        if set(re.findall(r"\[([^\]]*)\]", target["expr"])) - {"$__rate_interval"}:
            yield where


def _without_matcher(label: str) -> Iterator[str]:
    for where, _, target in _targets():
        if any(f"{label}=" not in each.matchers for each in reading.selectors(target["expr"])):
            yield where


def target_counter_agg() -> Iterator[str]:
    """What counts is shown as a rate or an increase: a counter starts again with its process."""
    for where, _, target in _targets():
        for each in reading.selectors(target["expr"]):
            if each.metric.endswith("_total") and each.inside[:1] not in (("rate",), ("irate",), ("increase",)):
                yield where


def uneditable() -> Iterator[str]:
    return (title for title, dashboard in DASHBOARDS.items() if dashboard["editable"])


RULES: dict[str, Callable[[], Iterator[str]]] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": lambda: _without_variable("job"),
    "template-instance-rule": lambda: _without_variable("instance"),
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-logql-rule": _no_logs,
    "target-logql-auto-rule": _no_logs,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": lambda: _without_matcher("job"),
    "target-instance-rule": lambda: _without_matcher("instance"),
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable,
}


@pytest.mark.parametrize("rule", RULES)
def test_the_dashboards_keep_the_rule(rule: str) -> None:
    excepted = EXCEPTIONS.get(rule, {})
    broken = list(RULES[rule]())
    assert [where for where in broken if not where.startswith(tuple(excepted) or ("\0",))] == []


@pytest.mark.parametrize("rule", EXCEPTIONS)
def test_each_exception_is_needed(rule: str) -> None:
    broken = list(RULES[rule]())
    unneeded = [start for start in EXCEPTIONS[rule] if not any(where.startswith(start) for where in broken)]
    assert unneeded == []


BREAKING: dict[str, Callable[[Json], object]] = {
    "template-datasource-rule": lambda board: board["templating"]["list"][0].update(label="Source"),
    "template-label-promql-rule": lambda board: board["templating"]["list"][1]["query"].update(
        query="label_values(x{, y)"
    ),
    "template-on-time-change-reload-rule": lambda board: board["templating"]["list"][1].update(refresh=1),
    "panel-datasource-rule": lambda board: board["panels"][1]["datasource"].update(uid="mine"),
    "panel-title-description-rule": lambda board: board["panels"][1].update(description=""),
    "panel-units-rule": lambda board: board["panels"][1]["fieldConfig"]["defaults"].update(unit="seconds"),
    "panel-no-targets-rule": lambda board: board["panels"][1].update(targets=[]),
    "target-logql-rule": lambda board: board["panels"][1]["targets"][0]["datasource"].update(type="loki"),
    "target-rate-interval-rule": lambda board: board["panels"][1]["targets"][0].update(expr="rate(x_total[5m])"),
    "target-counter-agg-rule": lambda board: board["panels"][1]["targets"][0].update(expr="sum(x_total)"),
}


@pytest.mark.parametrize("rule", BREAKING)
def test_a_dashboard_that_breaks_the_rule_is_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(RULES[rule]())
    fresh = reading.load()
    monkeypatch.setattr(f"{__name__}.DASHBOARDS", fresh)
    BREAKING[rule](fresh["Diego fleet"])

    assert len(list(RULES[rule]())) == len(before) + 1
