"""The dashboard *Diego foundations*: the state of each foundation's Diego, the evidence, and the remediation.

The rows answer what an operator asks during an incident, from top to bottom: is it broken now (a row for each
foundation), since when and how do we know, which pod leads, can the view be trusted, what does the remediation do, and
do the programs run. Each description says what to do when the panel is red.

All exporters and all webhooks export the same state: it is aggregated with `max`. Events of each replica are summed. A
pod's restarts are state, although a counter: summed over two exporters they would count twice.
"""

from grafana_foundation_sdk.models import dashboard as model

from dashboards import evidence, programs, remediation
from dashboards.frame import Row, dashboard


def build() -> model.Dashboard:
    """The whole dashboard."""
    return dashboard(
        title="Diego foundations",
        uid="diego-foundations",
        description=(
            "Diego's BBS on each Cloud Foundry foundation: which pod leads, which pod serves, whether the Cloud"
            " Controller can reach it, and what diego-medic does. Purple and 'unknown' mean unknown, never zero."
        ),
        rows=[
            Row(title="$foundation", panels=evidence.now_panels(), repeat="foundation"),
            Row(title="What is wrong, and how we know", panels=evidence.reachability_panels()),
            Row(title="diego-api, pod by pod", panels=evidence.pod_panels()),
            Row(title="How fresh the view is", panels=evidence.view_panels()),
            Row(title="Remediation", panels=remediation.state_panels()),
            Row(title="The programs", panels=programs.program_panels()),
        ],
    )
