"""What the dashboards have in common: data source, choice of foundations, links, marks, and the numbers of panels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import dashboard as model

from dashboards.annotations import annotations
from dashboards.queries import DATASOURCE

# Grafana 10.0's: a newer Grafana migrates what it loads, and skips the migrations of older panels.
SCHEMA_VERSION = 38
PLUGIN_VERSION = "10.0.0"

TAG = "diego-medic"

Panels: TypeAlias = Sequence[stat.Panel | statetimeline.Panel | timeseries.Panel | table.Panel | heatmap.Panel]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A heading and its panels; with `repeat`, once for each value of that variable."""

    title: str
    panels: Panels
    repeat: str = ""


def dashboard(*, title: str, uid: str, description: str, rows: Sequence[Row], since: str = "now-6h") -> model.Dashboard:
    """The whole dashboard, with every panel placed and numbered."""
    board = (
        dashboard_builder.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["cloud-foundry", "diego", TAG])
        .timezone("browser")
        .time(since, "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard_builder.DashboardLink("Diego dashboards")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .link(
            dashboard_builder.DashboardLink("What each alert means")
            .type(model.DashboardLinkType.LINK)
            .url("https://github.com/diego-medic/diego-medic/blob/main/docs/alerts.md")
            .target_blank(True)
        )
        .with_variable(_datasource())
        .with_variable(_foundation())
    )
    for row in rows:
        _add(board, row)
    built = board.build()
    built.schema_version = SCHEMA_VERSION
    built.annotations = model.AnnotationContainer(list_val=annotations())
    for number, panel in enumerate(built.panels or [], start=1):  # the SDK numbers nothing
        panel.id_val = number
        if isinstance(panel, model.Panel):
            panel.plugin_version = PLUGIN_VERSION
    return built


def _add(board: dashboard_builder.Dashboard, row: Row) -> None:
    # The SDK places a panel right of the one before, and breaks the line at 24: the widths of a line add up to that.
    heading = dashboard_builder.Row(row.title)
    if row.repeat:
        heading.repeat(row.repeat)
    board.with_row(heading)
    for panel in row.panels:
        board.with_panel(panel)


def _datasource() -> dashboard_builder.DatasourceVariable:
    return (
        dashboard_builder.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(model.VariableOption(text="default", value="default"))
    )


def _foundation() -> dashboard_builder.QueryVariable:
    # Both programs name the foundations: one whose exporter is down stays listed, with `unknown` in its row.
    # The list covers the time range of the dashboard, so a foundation also stays listed when both are down.
    query = 'label_values({__name__=~"diego_foundation_info|diego_remediation_mode"}, foundation)'
    return (
        dashboard_builder.QueryVariable("foundation")
        .label("Foundation")
        .datasource(DATASOURCE)
        .query({"query": query, "refId": "Foundations"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")  # shorter than the names of all, of which there may be a thousand
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
