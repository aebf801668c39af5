"""The model of the one config file that all programs share.

The models hold resolved values: the defaults, overlaid by the profile, overlaid by the file, with the general
``remediation`` merged into each foundation. Attribute names are the file's keys; durations are seconds as floats.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from exporter.config.profiles import DEFAULT_PROFILE, PROFILES
from exporter.config.remediation import Remediation, Webhook
from exporter.config.types import (
    ContainerName,
    Count,
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
    format_duration,
    quoted,
    rule,
)


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


class Config(Strict):
    """The whole file."""

    foundations: tuple[Foundation, ...]
    webhook: Webhook = Webhook()

    def foundation(self, name: str) -> Foundation | None:
        """The foundation of that name, or None."""
        return next((each for each in self.foundations if each.name == name), None)
