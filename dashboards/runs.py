"""The dashboard *Diego remediation*: what diego-medic did, why it did not, and how long it took."""

from grafana_foundation_sdk.models import dashboard as model

from dashboards import remediation
from dashboards.frame import Row, dashboard


def build() -> model.Dashboard:
    """The whole dashboard. Runs are rare, so it shows a week."""
    return dashboard(
        title="Diego remediation",
        uid="diego-remediation",
        description=(
            "The runs of diego-medic: their outcomes, durations and steps, the decisions on requests, and why runs were"
            " refused."
        ),
        since="now-7d",
        rows=[
            Row(title="State", panels=remediation.state_panels()),
            Row(title="Runs and decisions", panels=remediation.deed_panels()),
            Row(title="Service level", panels=remediation.service_level_panels()),
        ],
    )
