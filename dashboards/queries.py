"""The PromQL that the dashboards share: state is aggregated with `max`, deeds are summed, over all replicas."""

from dataclasses import dataclass
from typing import Literal

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prometheus_model

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

FOUNDATION = 'foundation=~"$foundation"'
FOUNDATION_OR_NONE = 'foundation=~"$foundation|"'  # also what concerns a whole program, and so has no foundation


def latest(metric: str, *, by: str = "foundation", where: str = "") -> str:
    """The state in a gauge, for each `by`: all replicas export the same, and one with data is enough."""
    return f"max by ({by}) ({metric}{selector(where)})"


def rate(metric: str, *, by: str, where: str = "") -> str:
    """Events per second, summed over the replicas."""
    return f"sum by ({by}) (rate({metric}{selector(where)}[$__rate_interval]))"


def number_of(metric: str, *, by: str, where: str = "") -> str:
    """Number of events within the interval, summed over the replicas."""
    return f"sum by ({by}) (increase({metric}{selector(where)}[$__rate_interval]))"


def selector(where: str = "") -> str:
    """The matchers that every series of a foundation is chosen by; `where` adds to them."""
    return "{" + ", ".join(filter(None, (FOUNDATION, where))) + "}"


# When the last run of each outcome ended, in milliseconds since the epoch, as Grafana wants it; zero would be never.
LAST_RUN = f"({latest('diego_remediation_last_run_timestamp_seconds', by='foundation, outcome')} > 0) * 1000"


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One PromQL expression, and how its series are called in the legend."""

    expr: str
    legend: str = ""

    def build(self, ref_id: str, kind: Literal["instant", "range", "table"]) -> prometheus.Dataquery:
        target = prometheus.Dataquery().expr(self.expr).ref_id(ref_id).datasource(DATASOURCE)
        target.editor_mode(prometheus_model.QueryEditorMode.CODE)
        if kind == "range":
            return target.range().legend_format(self.legend)
        return target.instant().format(
            prometheus_model.PromQueryFormat.TABLE if kind == "table" else prometheus_model.PromQueryFormat.TIME_SERIES
        )
