"""The marks on every graph: when a run was in progress, how it ended, and (off by default) when an alert fired.

Grafana draws a series above zero as a region, from its first point to its last: that is a run. The end of a run is
marked by a series whose *value* is its time, so a run between two scrapes is marked too, at the right place.
"""

from grafana_foundation_sdk.models import dashboard as model

from dashboards.queries import DATASOURCE, FOUNDATION_OR_NONE, LAST_RUN, latest


class PrometheusAnnotation(model.AnnotationQuery):
    """An annotation as Grafana's Prometheus data source reads it: the SDK's model lacks the last five keys.

    With `value_is_time` the value of the series, in milliseconds since the epoch, is the moment of the event.
    """

    def __init__(
        self, *, name: str, expr: str, color: str, text: str, value_is_time: bool = False, enable: bool = True
    ) -> None:
        super().__init__(name=name, datasource=DATASOURCE, enable=enable, icon_color=color, expr=expr)
        self._text = text
        self._value_is_time = value_is_time

    def to_json(self) -> dict[str, object]:
        """The JSON form, which Grafana 11 turns into its newer one when it loads the dashboard."""
        return super().to_json() | {
            "titleFormat": self.name,
            "textFormat": self._text,
            "tagKeys": "foundation,outcome,alertname",
            "step": "15s",
            "useValueForTime": self._value_is_time,
        }


def annotations() -> list[model.AnnotationQuery]:
    """All of them, in the order of the switches above the dashboard."""
    firing = f'{{alertname=~"Diego.+", alertstate="firing", {FOUNDATION_OR_NONE}}}'
    return [
        PrometheusAnnotation(
            name="Run",
            expr=latest("diego_remediation_run_in_progress"),
            color="blue",
            text="{{foundation}}: a run is in progress",
        ),
        PrometheusAnnotation(
            name="Run ended",
            expr=LAST_RUN,
            color="purple",
            text="{{foundation}}: {{outcome}}",
            value_is_time=True,
        ),
        PrometheusAnnotation(
            name="Alert",
            expr=f"max by (alertname, foundation) (ALERTS{firing})",
            color="red",
            text="{{alertname}} {{foundation}}",
            enable=False,
        ),
    ]
