"""The licence to delete: everything that permits one DELETE, each with its time. Pure.

A pod is deleted only on a licence, and the licence is checked in one place, right before the request is sent
(`webhook.runbook.deletion`). It expires by time and by facts, whatever path the code took: docs/safety.md.
"""

from dataclasses import dataclass
from enum import StrEnum

from exporter.clock import Instant
from exporter.config.remediation import Confirm
from webhook.runbook.cloud_controller import Attempt, Reachability
from webhook.timings import Timings


class Expiry(StrEnum):
    """Why a licence does not permit a DELETE now. The first three pass with a new proof, view or renewal."""

    PROOF = "the proof is too old"
    VIEW = "the view of the guards is too old"
    LEASE = "the lease may end before the request does"
    CLOCK = "a clock was set since the proof"
    MODE = "the mode does not permit it"
    EPOCH = "another process has taken the lease"


@dataclass(frozen=True, slots=True)
class Proof:
    """Every attempt proved the BBS unreachable from the Cloud Controller. `at`: when the last attempt started."""

    attempts: tuple[Attempt, ...]
    at: Instant

    def __post_init__(self) -> None:
        """Raises ValueError: fewer than a whole proof is none."""
        if not self.attempts or any(each.reachability is not Reachability.UNREACHABLE for each in self.attempts):
            raise ValueError("an attempt of this proof does not prove that the BBS is unreachable")

    def fresh(self, now: Instant, *, confirm: Confirm, timings: Timings) -> bool:
        """Whether it is younger than the confirm window and a margin, by both clocks, and no clock was set."""
        window = confirm.attempts * confirm.interval + timings.proof_margin
        return 0 <= self.at.age(now) <= window and self.at.drift(now) <= timings.clock_drift

    def extended(self, attempt: Attempt, at: Instant) -> "Proof":
        """With one more attempt, which must follow while this proof is fresh."""
        return Proof(attempts=(*self.attempts, attempt), at=at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """The licence for one DELETE. `lease` is the seconds for which the lease is certain, as of `issued`."""

    proof: Proof
    viewed: Instant
    issued: Instant
    run_mode: str
    config_mode: str | None
    approved: bool
    lease: float
    epoch: int
    journal_epoch: int
    confirm: Confirm
    timings: Timings

    def expired(self, now: Instant) -> Expiry | None:
        """Why it does not permit a DELETE at `now`; None: it does."""
        if not permits_deletion(self.run_mode, self.config_mode, approved=self.approved):
            return Expiry.MODE
        if self.journal_epoch > self.epoch:
            return Expiry.EPOCH
        if self.proof.at.drift(now) > self.timings.clock_drift or self.issued.drift(now) > self.timings.clock_drift:
            return Expiry.CLOCK
        if not self.proof.fresh(now, confirm=self.confirm, timings=self.timings):
            return Expiry.PROOF
        if self.viewed.age(now) > self.timings.view_age:
            return Expiry.VIEW
        if self.lease - self.issued.age(now) < self.timings.delete:
            return Expiry.LEASE
        return None


def permits_deletion(run_mode: str, config_mode: str | None, *, approved: bool) -> bool:
    """Whether the run's mode and today's config both permit it: `auto`, or `approve` with a person's approval.

    A test for permission and not for prohibition: a mode that is missing or unknown permits nothing.
    """
    permitted = {"auto", "approve"} if approved else {"auto"}
    return run_mode in permitted and config_mode in permitted
