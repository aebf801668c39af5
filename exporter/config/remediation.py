"""The part of the config that only the webhook and the runbook use."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from exporter.config.types import (
    Between,
    Count,
    Duration,
    PlainText,
    PositiveDuration,
    Rule,
    RuleError,
    Strict,
    at_least,
    format_duration,
)


class Mode(StrEnum):
    """What the webhook does once a failure is confirmed."""

    OBSERVE = "observe"
    """Decide and report; delete nothing."""

    APPROVE = "approve"
    """Wait until a person approves, then delete."""

    AUTO = "auto"
    """Delete without asking."""


class Confirm(Strict, frozen=True, kw_only=True):
    """How a failure is confirmed from the Cloud Controller; together longer than a healthy failover takes."""

    attempts: Count = 4
    """How many checks in a row must fail. From the profile."""

    interval: PositiveDuration = 10.0
    """Seconds between two checks. From the profile."""


class AwaitReady(Strict, frozen=True, kw_only=True):
    """The wait for new pods after the restart."""

    timeout: PositiveDuration | None = None
    """Seconds, for each pod where they start one after another.

    None: the longest grace period of the deleted pods, plus 5 minutes.
    """


def _enough_for_the_attempts(timeout: float, above: Mapping[str, Any]) -> None:
    needed = above.get("attempts", 0) * above.get("interval", 0.0)
    if timeout < needed:
        raise RuleError(
            f"must be at least attempts times interval ({format_duration(needed)}), not {format_duration(timeout)}"
        )


class Verify(Strict, frozen=True, kw_only=True):
    """The check from the Cloud Controller after the restart."""

    attempts: Count = 3
    """How many checks in a row must succeed."""

    interval: PositiveDuration = 2.0
    """Seconds between two checks."""

    timeout: Annotated[PositiveDuration, Between(_enough_for_the_attempts)] = 120.0
    """Seconds until the verification has failed, at least attempts times interval."""


class Breaker(Strict, frozen=True, kw_only=True):
    """The limit on disruptive runs, whatever their outcome. Only a person closes the breaker again."""

    runs: Count = 3
    """How many disruptive runs within the window open the breaker."""

    window: Annotated[Duration, Rule(at_least(60))] = 21_600.0
    """Seconds, at least 60."""


def _outlives_the_cooldown(ttl: float, above: Mapping[str, Any]) -> None:
    cooldown = above.get("cooldown", 0.0)
    # Otherwise a request that the cooldown queues would expire before it can run.
    if ttl <= cooldown:
        raise RuleError(f"must be longer than the cooldown ({format_duration(cooldown)}), not {format_duration(ttl)}")


class Remediation(Strict, frozen=True, kw_only=True):
    """What the webhook may do, and under which limits. The defaults are the project's own."""

    mode: Mode | None = None
    """What to do once a failure is confirmed. No default, because `auto` deletes pods; None: the file has none."""

    confirm: Confirm = Confirm()
    """Before the restart: when a failure counts as confirmed."""

    await_ready: AwaitReady = AwaitReady()
    """After the restart: how long new pods may take."""

    verify: Verify = Verify()
    """After the restart: when the repair counts as verified."""

    cooldown: Duration = 900.0
    """Seconds without a run after a disruptive one; 0 for none."""

    retry: PositiveDuration = 60.0
    """Seconds without a run after one that was not disruptive."""

    breaker: Breaker = Breaker()
    """The limit on disruptive runs."""

    max_pods: Count = 10
    """A run that would delete more pods is refused."""

    request_ttl: Annotated[PositiveDuration, Between(_outlives_the_cooldown)] = 1_200.0
    """Seconds that a queued request is valid without news of its alerts, longer than the cooldown."""

    approval_timeout: PositiveDuration = 1_800.0
    """Seconds that a run waits for approval."""


class Webhook(Strict, frozen=True, kw_only=True):
    """What only the webhook uses."""

    bearer_token_file: PlainText | None = None
    """An absolute path to the token that Alertmanager sends, re-read when it changes; None: no token is asked for."""
