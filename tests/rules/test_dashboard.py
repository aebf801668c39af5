"""The dashboards: the committed files, and the rules that every panel keeps."""

import ast
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dashboards import build
from tests.support import dashboard as reading

REPOSITORY = Path(__file__).parents[2]
DASHBOARDS = reading.load()
PANELS = [panel for dashboard in DASHBOARDS.values() for panel in reading.panels(dashboard)]

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def offenders(keeps: Callable[[dict[str, Any]], bool], panels: list[dict[str, Any]] = PANELS) -> list[str]:
    """The titles of the panels that do not keep a rule."""
    return [panel["title"] for panel in panels if not keeps(panel)]


def test_the_committed_file_is_what_the_code_generates() -> None:
    assert build.main(["--check"]) == 0


def test_the_check_reports_a_file_that_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main([], directory=tmp_path) == 0
    assert build.main(["--check"], directory=tmp_path) == 0
    written = tmp_path / "diego-foundations.json"
    written.write_text(written.read_text("utf-8").replace("Diego foundations", "Something else"))

    assert build.main(["--check"], directory=tmp_path) == 1
    report = capsys.readouterr().err
    assert "differs from what the code generates" in report
    assert '-  "title": "Something else"' in report
    assert "python -m dashboards.build" in report


def test_the_check_reports_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--check"], directory=tmp_path) == 1
    assert "is missing" in capsys.readouterr().err


@each_dashboard
def test_grafana_10_and_11_load_it_without_plugins(dashboard: dict[str, Any]) -> None:
    assert dashboard["uid"] == dashboard["title"].lower().replace(" ", "-")
    assert dashboard["schemaVersion"] == 38  # Grafana 10.0's
    assert {panel["type"] for panel in dashboard["panels"]} <= {
        "heatmap", "row", "stat", "state-timeline", "table", "timeseries",
    }  # fmt: skip


@each_dashboard
def test_panels_have_ids_of_their_own(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


@each_dashboard
def test_titles_are_unique(dashboard: dict[str, Any]) -> None:
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(set(titles)) == len(titles)


@each_dashboard
def test_no_panel_covers_another_or_leaves_the_grid(dashboard: dict[str, Any]) -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    for one, other in combinations(dashboard["panels"], 2):
        assert not cells(one) & cells(other), f"{one['title']} and {other['title']} overlap"
    every = set().union(*(cells(panel) for panel in dashboard["panels"]))
    height = 1 + max(y for _, y in every)
    assert every == {(x, y) for x in range(24) for y in range(height)}, "a hole in the grid, or a panel beyond it"


def test_the_first_row_stands_once_for_each_foundation() -> None:
    panels = DASHBOARDS["Diego foundations"]["panels"]
    rows = [panel for panel in panels if panel["type"] == "row"]
    assert panels[0] == rows[0]
    assert [row.get("repeat") for row in rows] == ["foundation"] + [None] * (len(rows) - 1)
    assert not any(row["panels"] for row in rows), "Grafana drops the panels inside of a row that is not collapsed"


@each_dashboard
def test_foundations_are_chosen_from_a_list_with_all(dashboard: dict[str, Any]) -> None:
    datasource, foundation = dashboard["templating"]["list"]
    assert (datasource["name"], datasource["type"], datasource["query"]) == ("datasource", "datasource", "prometheus")
    assert (foundation["name"], foundation["multi"], foundation["includeAll"]) == ("foundation", True, True)
    assert foundation["query"]["query"].startswith("label_values(")


def test_a_panel_says_what_to_do_when_it_is_red() -> None:
    def helps(panel: dict[str, Any]) -> bool:
        return len(panel["description"]) > 60 and panel["description"].endswith(".")

    assert offenders(helps) == []


CHOSEN = {"type": "prometheus", "uid": "${datasource}"}


def test_a_panel_and_its_queries_use_the_chosen_data_source() -> None:
    def chosen(panel: dict[str, Any]) -> bool:
        return all(each["datasource"] == CHOSEN for each in (panel, *panel["targets"]))

    assert offenders(chosen) == []


@each_dashboard
def test_annotations_use_the_chosen_data_source(dashboard: dict[str, Any]) -> None:
    assert all(annotation["datasource"] == CHOSEN for annotation in dashboard["annotations"]["list"])


def test_no_data_has_words() -> None:
    assert offenders(lambda panel: bool(panel["fieldConfig"]["defaults"]["noValue"])) == []


STATS = [panel for panel in PANELS if panel["type"] == "stat"]


def test_what_is_shown_as_now_asks_for_now() -> None:
    """Never for an old value."""

    def asks_for_now(panel: dict[str, Any]) -> bool:
        return [(target["instant"], target["range"]) for target in panel["targets"]] == [(True, False)]

    assert len(STATS) > 5
    assert offenders(asks_for_now, STATS) == []


def test_what_is_shown_as_now_is_unknown_without_data() -> None:
    """And unknown does not have the color of a known value."""

    def unknown(panel: dict[str, Any]) -> bool:
        defaults = panel["fieldConfig"]["defaults"]
        special = [mapping["options"] for mapping in defaults["mappings"] if mapping["type"] == "special"]
        colors = {step["color"] for step in defaults["thresholds"]["steps"]}
        return (
            defaults["noValue"] == "unknown"
            and [(each["match"], each["result"]["text"]) for each in special] == [("null+nan", "unknown")]
            and special[0]["result"]["color"] not in colors
            and {"red", "green"} <= colors
        )

    assert offenders(unknown, STATS) == []


def test_a_panel_has_a_unit_or_words_for_its_values() -> None:
    def readable(panel: dict[str, Any]) -> bool:
        defaults, overrides = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["overrides"]
        match panel["type"]:
            case "state-timeline":
                return bool(defaults["mappings"])
            case "heatmap":
                return bool(panel["options"]["yAxis"]["unit"])
            case "table":
                return all("unit" in [each["id"] for each in override["properties"]] for override in overrides)
            case _:
                return bool(defaults["unit"])

    assert offenders(readable) == []


@each_dashboard
def test_runs_are_marked_on_every_graph(dashboard: dict[str, Any]) -> None:
    """A run as a region; its end by the value of the series, in milliseconds; alerts only where they are asked for."""
    run, ended, alert = dashboard["annotations"]["list"]
    assert (run["enable"], run["useValueForTime"]) == (True, False)
    assert "diego_remediation_run_in_progress" in run["expr"]
    assert (ended["enable"], ended["useValueForTime"]) == (True, True)
    assert "diego_remediation_last_run_timestamp_seconds" in ended["expr"]
    assert ended["expr"].endswith("* 1000")
    assert not alert["enable"]


DEVELOPERS = {"grafana_foundation_sdk", "jsonschema", "dashboards", "deploy", "generated", "reference"}


def test_the_programs_do_not_need_the_developers_tools() -> None:
    for package in ("exporter", "webhook", "sandbox"):
        for file in (REPOSITORY / package).rglob("*.py"):
            imported = {
                name
                for node in ast.walk(ast.parse(file.read_text("utf-8")))
                for name in (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
            }
            assert not {name.partition(".")[0] for name in imported} & DEVELOPERS, file
