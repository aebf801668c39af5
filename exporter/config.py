"""The one config file of all programs: its model, and `load`, which reports every mistake of a file at once.

The models hold resolved values: the defaults, overlaid by the profile, overlaid by the file, with the general
``remediation`` merged into each foundation. Attribute names are the file's keys; durations are seconds as floats.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from exporter.config_check import check
from exporter.config_file import read_tree
from exporter.config_resolve import Program, resolve
from exporter.config_tree import ConfigError, Problem
from exporter.config_types import (
    ContainerName,
    Count,
    Duration,
    FoundationName,
    Host,
    Label,
    LabelText,
    Names,
    Namespace,
    OneOrMoreNames,
    PlainText,
    Port,
    PositiveDuration,
    Strict,
    at_least,
    format_duration,
    quoted,
    rule,
)
from exporter.profiles import DEFAULT_PROFILE, PROFILES

__all__ = [
    "AwaitReady", "Bbs", "Breaker", "CloudController", "Config", "ConfigError", "Confirm", "DiegoApi", "Foundation",
    "HostPort", "Label", "Mode", "Problem", "Program", "Remediation", "Verify", "Webhook", "load",
]  # fmt: skip

Mode = Literal["observe", "approve", "auto"]


class HostPort(Strict):
    """Where something listens."""

    host: Host
    port: Port


class Bbs(Strict):
    """The BBS' address as the Cloud Controller uses it, and how often it is probed (seconds)."""

    host: Host = "diego-api.cf.svc.cluster.local"
    port: Port = 8889
    interval: PositiveDuration = 10.0
    # As Prometheus does with its scrape timeout: a shorter interval shortens a timeout that nobody set.
    timeout: PositiveDuration = Field(default_factory=lambda data: min(5.0, data.get("interval", 5.0)))

    @field_validator("timeout")
    @classmethod
    def _within_interval(cls, timeout: float, info: ValidationInfo) -> float:
        interval = info.data.get("interval", timeout)
        if timeout > interval:
            raise rule(f"must not exceed the interval ({format_duration(interval)}), not {format_duration(timeout)}")
        return timeout


class DiegoApi(Strict):
    """The pods that hold BBS and Locket, and the label that marks the active one."""

    statefulset: OneOrMoreNames = ("diego-api",)
    active_label: LabelText = Label(key="skiff-role-active", value="true")
    min_ready: Count | None = None
    probe_pods: bool = True


class CloudController(Strict):
    """The pods from inside which the BBS must be reachable."""

    statefulset: OneOrMoreNames = ("api",)
    container: ContainerName | None = None


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


def _profile(name: str) -> str:
    if name not in PROFILES:
        raise rule(f"must be one of {', '.join(PROFILES)}, not {quoted(name)}")
    return name


class Foundation(Strict):
    """One Cloud Foundry, resolved. The defaults are those of the profile cfee-2 in the namespace cf."""

    name: FoundationName
    profile: Annotated[str, AfterValidator(_profile)] = DEFAULT_PROFILE
    kubeconfig: PlainText | None = None
    context: PlainText | None = None
    namespace: Namespace = "cf"
    bbs: Bbs = Bbs()
    diego_api: DiegoApi = DiegoApi()
    cloud_controller: CloudController = CloudController()
    restart: Names = ("diego-api",)
    database: HostPort | None = None
    staleness: PositiveDuration = Field(default=60.0, validate_default=True)
    remediation: Remediation = Remediation()

    @field_validator("staleness")
    @classmethod
    def _longer_than_between_probes(cls, staleness: float, info: ValidationInfo) -> float:
        bbs: Bbs | None = info.data.get("bbs")
        # Else a series would vanish between two good probes.
        if bbs and staleness < bbs.interval:
            raise rule(
                f"must be at least bbs.interval ({format_duration(bbs.interval)}), not {format_duration(staleness)}"
            )
        return staleness


def _some(foundations: tuple[Foundation, ...]) -> tuple[Foundation, ...]:
    if not foundations:
        raise rule("must name at least one foundation")
    return foundations


class Webhook(Strict):
    """What only the webhook uses."""

    bearer_token_file: PlainText | None = None


class Config(Strict):
    """The whole file."""

    foundations: tuple[Foundation, ...]
    webhook: Webhook = Webhook()

    def foundation(self, name: str) -> Foundation | None:
        """The foundation of that name, or None."""
        return next((each for each in self.foundations if each.name == name), None)


class _File(Strict):
    """The file once everything is filled in; the general remediation is checked even where unused."""

    foundations: Annotated[tuple[Foundation, ...], AfterValidator(_some)]
    remediation: Remediation
    webhook: Webhook


def load(path: str, *, program: Program) -> Config:
    """Read, resolve and check the file for one of the programs.

    The webhook demands a mode for each foundation. It and the runbook refuse the mode ``approve``, which they can't
    honour yet.

    Raises:
        ConfigError: with every problem of the file, an unreadable one included; never anything else.

    """
    root, problems = read_tree(path)
    tree, more = resolve(root, file=path, program=program)
    checked, wrong = check(_File, tree, file=path)
    problems = [*problems, *more, *wrong]
    if problems or checked is None:
        raise ConfigError(problems)
    return Config(foundations=checked.foundations, webhook=checked.webhook)
