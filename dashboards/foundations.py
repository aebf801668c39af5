"""The dashboard *Diego foundations*: the state of each foundation's Diego, the evidence, and the remediation.

The rows answer what an operator asks during an incident, from top to bottom: is it broken now (a row for each
foundation), since when and how do we know, which pod leads, can the view be trusted, what does the remediation do, and
do the programs run. Each description says what to do when the panel is red.

All exporters and all webhooks export the same state: it is aggregated with `max`. Events of each replica are summed. A
pod's restarts are state, although a counter: summed over two exporters they would count twice.
"""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import dashboard as model

from dashboards import evidence, remediation
from dashboards.annotations import annotations
from dashboards.panels import DATASOURCE

UID = "diego-foundations"

# Grafana 10.0's: a newer Grafana migrates what it loads, and skips the migrations of older panels.
SCHEMA_VERSION = 38
PLUGIN_VERSION = "10.0.0"

_Panels = Sequence[stat.Panel | statetimeline.Panel | timeseries.Panel | table.Panel]


def build() -> model.Dashboard:
    """The whole dashboard, with every panel placed and numbered."""
    board = (
        dashboard_builder.Dashboard("Diego foundations")
        .uid(UID)
        .description(
            "Diego's BBS on each Cloud Foundry foundation: which pod leads, which pod serves, whether the Cloud"
            " Controller can reach it, and what diego-medic does. Purple and 'unknown' mean unknown, never zero."
        )
        .tags(["cloud-foundry", "diego", "diego-medic"])
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard_builder.DashboardLink("What each alert means")
            .type(model.DashboardLinkType.LINK)
            .url("https://github.com/diego-medic/diego-medic/blob/main/docs/alerts.md")
            .target_blank(True)
        )
        .with_variable(_datasource())
        .with_variable(_foundation())
    )
    _row(board, "$foundation", evidence.now_panels(), repeat="foundation")
    _row(board, "What is wrong, and how we know", evidence.reachability_panels())
    _row(board, "diego-api, pod by pod", evidence.pod_panels())
    _row(board, "How fresh the view is", evidence.view_panels())
    _row(board, "Remediation", remediation.remediation_panels())
    _row(board, "The programs", remediation.program_panels())
    built = board.build()
    built.schema_version = SCHEMA_VERSION
    built.annotations = model.AnnotationContainer(list_val=annotations())
    for number, panel in enumerate(built.panels or [], start=1):  # the SDK numbers nothing
        panel.id_val = number
        if isinstance(panel, model.Panel):
            panel.plugin_version = PLUGIN_VERSION
    return built


def _row(board: dashboard_builder.Dashboard, title: str, panels: _Panels, *, repeat: str | None = None) -> None:
    # The SDK places a panel right of the one before, and breaks the line at 24: the widths of a line add up to that.
    row = dashboard_builder.Row(title)
    if repeat:
        row.repeat(repeat)
    board.with_row(row)
    for panel in panels:
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
