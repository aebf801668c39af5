"""The time-outs and intervals of the webhook that no setting changes, as one value that tests shorten.

What operators may change is in the config (`exporter.config.remediation`). All values are seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timings:
    """The defaults are the product's."""

    lease_duration: float = 15.0
    """After the last renewal another process may take the lease."""
    lease_trusted: float = 10.0
    """After the last renewal the holder stops trusting its lease: well before another process may take it."""
    lease_renew: float = 5.0
    """Between two renewals."""
    lease_retry: float = 2.0
    """Between two attempts to take the lease, or to renew it after a failure."""
    lease_attempt: float = 2.5
    """For one attempt to renew: one that hangs must leave time for another one."""

    poll: float = 2.0
    """Between two reads of the journal, for what others wrote: another replica's alert, a person's request."""
    notification: float = 8.0
    """Within which a notification is answered: Alertmanager cuts off at its group_interval, 10 s at the least."""
    journal_shown: float = 60.0
    """How long a journal that cannot be read is still shown as it was."""

    exec: float = 20.0
    """For one check inside one api pod, the WebSocket included."""
    evidence: float = 20.0
    """For the logs of all pods together."""
    event: float = 3.0
    """For one Kubernetes Event."""
    delete: float = 4.0
    """For one DELETE, from the last check of its licence until the answer. With `lease_trusted` it ends well before
    another process may take the lease."""
    outstanding: float = 60.0
    """How long a new holder waits for deletes that its predecessor may have sent: kube-apiserver's own limit for a
    request (`--request-timeout`)."""
    view_age: float = 10.0
    """How old the view of the guards may be when a DELETE is sent."""
    proof_margin: float = 10.0
    """How much older than the confirm window a proof may be when a DELETE is sent."""
    clock_drift: float = 2.0
    """How much wall time and boot time may disagree since the proof before a clock counts as changed."""

    clock_skew: float = 30.0
    """How much this machine's clock may differ from the API server's before it is reported."""

    patience: float = 30.0
    """How long calls to the API server are repeated once pods were deleted."""
    fate: float = 120.0
    """How long the state of one pod is asked for while the API server does not answer."""
    retry_first: float = 0.5
    retry_longest: float = 5.0
    """Between two attempts of one call: doubled from the first to the longest."""


DEFAULT = Timings()
