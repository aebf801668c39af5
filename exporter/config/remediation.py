"""The part of the config that only the webhook and the runbook use.

As in `exporter.config.model`, the string below a field is what docs/configuration.md says about it.
"""

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
from exporter.config.written import POSITIVE_DURATION


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
    """How many checks from the Cloud Controller in a row must prove that the BBS is unreachable.

    All of them together take longer than a healthy failover.
    """

    interval: PositiveDuration = 10.0
    """Time between two of these checks."""


class AwaitReady(Strict, frozen=True, kw_only=True):
    """The wait for new pods after the restart."""

    timeout: PositiveDuration | None = None
    """How long new pods may take to become ready; for each pod, if they start one after another.

    If it is not given, the longest grace period of the deleted pods, plus 5m.
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
    """How many checks from the Cloud Controller in a row must succeed after the restart."""

    interval: PositiveDuration = 2.0
    """Time between two of these checks."""

    timeout: Annotated[PositiveDuration, Between(_enough_for_the_attempts)] = 120.0
    """When the verification has failed; at least attempts times interval."""


class Breaker(Strict, frozen=True, kw_only=True):
    """The limit on disruptive runs, whatever their outcome. Only a person closes the breaker again."""

    runs: Count = 3
    """How many disruptive runs within the window open the breaker, whatever their outcome. A person must reset it."""

    window: Annotated[Duration, Rule(at_least(60)), POSITIVE_DURATION] = 21_600.0
    """The time in which these runs are counted; at least `1m`."""


def _outlives_the_cooldown(ttl: float, above: Mapping[str, Any]) -> None:
    cooldown = above.get("cooldown", 0.0)
    # Otherwise a request that the cooldown queues would expire before it can run.
    if ttl <= cooldown:
        raise RuleError(f"must be longer than the cooldown ({format_duration(cooldown)}), not {format_duration(ttl)}")


class Remediation(Strict, frozen=True, kw_only=True):
    """What the webhook may do, and under which limits. The defaults are the project's own."""

    mode: Mode | None = None
    """What to do once it is proved that the BBS is unreachable.

    `observe`: report what would be deleted. `approve`: delete once a person approves. `auto`: delete without asking.
    `diego-webhook` does not start without it: there is no default, because `auto` deletes pods.
    """

    confirm: Confirm = Confirm()
    """Before the restart: when a failure counts as confirmed."""

    await_ready: AwaitReady = AwaitReady()
    """After the restart: how long new pods may take."""

    verify: Verify = Verify()
    """After the restart: when the repair counts as verified."""

    cooldown: Duration = 900.0
    """How long no run starts after a disruptive one; `0s` for no cooldown."""

    retry: PositiveDuration = 60.0
    """How long no run starts after one that was not disruptive."""

    breaker: Breaker = Breaker()
    """The limit on disruptive runs."""

    max_pods: Count = 10
    """A run that would delete more pods is refused."""

    request_ttl: Annotated[PositiveDuration, Between(_outlives_the_cooldown)] = 1_200.0
    """How long a queued request is valid without news of its alerts; longer than `cooldown`."""

    approval_timeout: PositiveDuration = 1_800.0
    """How long a run waits for approval in mode `approve`."""


class Webhook(Strict, frozen=True, kw_only=True):
    """What only the webhook uses."""

    bearer_token_file: PlainText | None = None
    """A file with the token that Alertmanager sends, read again when it changes.

    If it is not given, no token is asked for. Only `diego-webhook` requires the file to exist.
    """
