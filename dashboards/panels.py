"""The house style of the dashboards: one function for each kind of panel, and the PromQL that all of them share.

Two rules:

- Absent means unknown. A value shown as "now" is an *instant* query, because a range query would still
  show the value from before the series disappeared; no data is shown as `unknown`, in its own colour.
- Only plain value mappings, thresholds and transformations of Grafana's core, so that versions 10 and 11 agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prometheus_model

from dashboards.queries import DATASOURCE, Query

GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "#6e7079"
UNKNOWN = "purple"  # neither good nor bad, and to be seen: an unknown is never shown as a zero

Mappings: TypeAlias = Mapping[int, tuple[str, str]]
"""What to write for a value, and in which colour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a table: a query with one value for each line."""

    title: str
    expr: str
    unit: str = "none"
    mappings: Mappings | None = None


def value_mappings(texts: Mappings, *, unknown: bool = False) -> list[model.ValueMapping]:
    """Words and colours for values; with `unknown`, also for a missing one."""
    known = {
        str(value): model.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    result: list[model.ValueMapping] = [model.ValueMap(options=known)] if known else []
    if unknown:
        result.append(
            model.SpecialValueMap(
                options=model.DashboardSpecialValueMapOptions(
                    match=model.SpecialValueMatch.NULL_AND_NAN,
                    result=model.ValueMappingResult(text="unknown", color=UNKNOWN, index=len(known)),
                )
            )
        )
    return result


def thresholds(base: str, *steps: tuple[float, str]) -> dashboard_builder.ThresholdsConfig:
    """`base` below the first step, then each colour from its value on."""
    levels = [model.Threshold(value=None, color=base)]
    levels += [model.Threshold(value=value, color=color) for value, color in steps]
    return dashboard_builder.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(levels)


def _by_threshold() -> dashboard_builder.FieldColor:
    return dashboard_builder.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)


def _ref_id(index: int) -> str:
    return chr(ord("A") + index)


def now(
    title: str,
    description: str,
    expr: str,
    *,
    levels: dashboard_builder.ThresholdsConfig,
    texts: Mappings | None = None,
    unit: str = "none",
) -> stat.Panel:
    """One value as it is now; six of them fill a line."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(Query(expr=expr).build("A", "instant"))
        .unit(unit)
        .no_value("unknown")
        .mappings(value_mappings(texts or {}, unknown=True))
        .thresholds(levels)
        .color_scheme(_by_threshold())
        .color_mode(common.BigValueColorMode.BACKGROUND)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE)
        .reduce_options(common_builder.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .height(4)
        .span(4)
    )


def timeline(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    texts: Mappings,
    levels: dashboard_builder.ThresholdsConfig | None = None,
    no_value: str = "unknown",
    height: int = 6,
    span: int = 24,
) -> statetimeline.Panel:
    """States over time, one line for each series; a gap means that nothing was known."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .no_value(no_value)
        .mappings(value_mappings(texts))
        .thresholds(levels or thresholds(GREY))
        .color_scheme(_by_threshold())
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .align_value(common.TimelineValueAlignment.LEFT)
        .row_height(0.8)
        .fill_opacity(75)
        .line_width(0)
        .legend(common_builder.VizLegendOptions().show_legend(False))
        .tooltip(common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
        .height(height)
        .span(span)
    )
    for index, query in enumerate(queries):
        panel.with_target(query.build(_ref_id(index), "range"))
    return panel


def series(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str = "none",
    draw: common.GraphDrawStyle = common.GraphDrawStyle.LINE,
    levels: dashboard_builder.ThresholdsConfig | None = None,
    no_value: str = "unknown",
    decimals: int | None = None,
    height: int = 8,
    span: int = 12,
) -> timeseries.Panel:
    """Numbers over time: lines, points, or stacked bars; with `levels` their limits are drawn as dashed lines."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .no_value(no_value)
        .min(0)
        .draw_style(draw)
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
        .show_points(common.VisibilityMode.AUTO)
        .span_nulls(False)
        .color_scheme(dashboard_builder.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
        .legend(
            common_builder.VizLegendOptions()
            .show_legend(True)
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
        )
        .tooltip(
            common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
        .height(height)
        .span(span)
    )
    if decimals is not None:
        panel.decimals(decimals)
    if levels is not None:
        panel.thresholds(levels)
        panel.thresholds_style(common_builder.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    if draw is common.GraphDrawStyle.BARS:
        panel.fill_opacity(80).line_width(0)
        panel.stacking(common_builder.StackingConfig().mode(common.StackingMode.NORMAL))
    elif draw is common.GraphDrawStyle.POINTS:
        panel.point_size(7)
    for index, query in enumerate(queries):
        panel.with_target(query.build(_ref_id(index), "range"))
    return panel


def counts(
    title: str, description: str, expr: str, *, legend: str, no_value: str = "unknown", span: int = 12
) -> timeseries.Panel:
    """Number of events within the interval, as stacked bars."""
    return series(
        title,
        description,
        [Query(expr=expr, legend=legend)],
        draw=common.GraphDrawStyle.BARS,
        decimals=0,
        no_value=no_value,
        span=span,
    )


def buckets(title: str, description: str, expr: str, *, unit: str, no_value: str) -> heatmap.Panel:
    """A histogram over time: `expr` has a series for each `le`."""
    target = Query(expr=expr, legend="{{le}}").build("A", "range").format(prometheus_model.PromQueryFormat.HEATMAP)
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(target)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .no_value(no_value)
        .height(8)
        .span(12)
    )


def lines(
    title: str,
    description: str,
    columns: Sequence[Column],
    *,
    keys: Sequence[str],
    join: str,
    no_value: str = "unknown",
    newest_first: str = "",
    height: int = 8,
    span: int = 12,
) -> table.Panel:
    """A table of what is so now: a line for each `join` label, the labels `keys` first, then the columns.

    A column that is only there for its labels has an empty title and is not shown.
    """
    # Grafana calls the value of the only query of a table `Value`, and else `Value #A`, `Value #B`, …
    fields = [f"Value #{_ref_id(index)}" for index in range(len(columns))] if len(columns) > 1 else ["Value"]
    shown = "|".join([*keys, *(field for field, column in zip(fields, columns, strict=True) if column.title)])
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .no_value(no_value)
        .thresholds(thresholds(GREY))
        .filterable(True)
        .height(height)
        .span(span)
    )
    if len(columns) > 1:
        panel.with_transformation(
            model.DataTransformerConfig(id_val="joinByField", options={"byField": join, "mode": "outer"})
        )
    panel.with_transformation(
        model.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"pattern": f"^({shown})$"}})
    )
    for index, (field, column) in enumerate(zip(fields, columns, strict=True)):
        panel.with_target(Query(expr=column.expr).build(_ref_id(index), "table"))
        if column.title:
            panel.override_by_name(field, _properties(column))
    if newest_first:
        panel.sort_by([common_builder.TableSortByFieldState().display_name(newest_first).desc(True)])
    return panel


def _properties(column: Column) -> list[model.DynamicConfigValue]:
    properties = [
        model.DynamicConfigValue(id_val="displayName", value=column.title),
        model.DynamicConfigValue(id_val="unit", value=column.unit),
    ]
    if column.mappings is not None:
        cell = common.TableColoredBackgroundCellOptions(mode=common.TableCellBackgroundDisplayMode.BASIC)
        properties += [
            model.DynamicConfigValue(id_val="mappings", value=value_mappings(column.mappings, unknown=True)),
            model.DynamicConfigValue(id_val="custom.cellOptions", value=cell),
        ]
    return properties
