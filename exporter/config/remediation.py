"""The part of the config that only the webhook and the runbook use."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from exporter.config.types import Count, Duration, PlainText, PositiveDuration, Strict, at_least, format_duration, rule

Mode = Literal["observe", "approve", "auto"]


class Confirm(Strict):
    """How often a failure must be seen from the Cloud Controller before it counts as proved."""

    attempts: Count = 4
    interval: PositiveDuration = 10.0


class AwaitReady(Strict):
    """How long new pods may take, in seconds; None: the longest grace period of the pods that go, and 5 minutes."""

    timeout: PositiveDuration | None = None


class Verify(Strict):
    """The check from the Cloud Controller after the restart."""

    attempts: Count = 3
    interval: PositiveDuration = 2.0
    timeout: PositiveDuration = Field(default=120.0, validate_default=True)

    @field_validator("timeout")
    @classmethod
    def _enough_for_the_attempts(cls, timeout: float, info: ValidationInfo) -> float:
        needed = info.data.get("attempts", 0) * info.data.get("interval", 0.0)
        if timeout < needed:
            raise rule(
                f"must be at least attempts times interval ({format_duration(needed)}), not {format_duration(timeout)}"
            )
        return timeout


class Breaker(Strict):
    """So many disruptive runs within the window (seconds), and a person must look."""

    runs: Count = 3
    window: Annotated[Duration, AfterValidator(at_least(60))] = 21_600.0


class Remediation(Strict):
    """What the webhook may do, and how carefully. No mode is a default: somebody must have chosen it."""

    mode: Mode | None = None
    confirm: Confirm = Confirm()
    await_ready: AwaitReady = AwaitReady()
    verify: Verify = Verify()
    cooldown: Duration = 900.0
    retry: PositiveDuration = 60.0
    breaker: Breaker = Breaker()
    max_pods: Count = 10
    request_ttl: PositiveDuration = 900.0
    approval_timeout: PositiveDuration = 1_800.0


class Webhook(Strict):
    """What only the webhook uses."""

    bearer_token_file: PlainText | None = None
