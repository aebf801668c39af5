"""The model of the one config file that all programs share.

The models have resolved values: the defaults, overlaid by the profile, overlaid by the file, with the general
`remediation` merged into each foundation. Attribute names are the file's keys; durations are seconds as floats.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from exporter.config.profiles import DEFAULT_PROFILE, PROFILES
from exporter.config.remediation import Remediation, Webhook
from exporter.config.types import (
    Between,
    ContainerName,
    Count,
    Derived,
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
    Rule,
    RuleError,
    Strict,
    format_duration,
    quoted,
)


class HostPort(Strict, frozen=True, kw_only=True):
    """An address to connect to."""

    host: Host
    """A DNS name or an IP address, without scheme and port."""

    port: Port
    """A TCP port."""


class BbsTls(Strict, frozen=True, kw_only=True):
    """With what the exporter calls the BBS's API, which speaks mutual TLS. No other program reads these files."""

    ca: PlainText
    """An absolute path to the authorities that sign the BBS's certificate, in PEM format."""

    cert: PlainText
    """An absolute path to a client's certificate that the BBS accepts, in PEM format; re-read when it changes."""

    key: PlainText
    """An absolute path to its private key, in PEM format and not encrypted."""

    server_name: Host | None = None
    """The name that the BBS's certificate must have, at whichever address it answers; None: `bbs.host`."""


def _no_longer_than_the_interval(above: Mapping[str, Any]) -> float:
    interval: float = above.get("interval", 5.0)
    return min(5.0, interval)


def _within_interval(timeout: float, above: Mapping[str, Any]) -> None:
    interval = above.get("interval", timeout)
    if timeout > interval:
        raise RuleError(f"must not exceed the interval ({format_duration(interval)}), not {format_duration(timeout)}")


class Bbs(Strict, frozen=True, kw_only=True):
    """The address of the BBS as the Cloud Controller uses it, and how often it is probed."""

    host: Host = "diego-api.cf.svc.cluster.local"
    """A DNS name or an IP address, without scheme and port. The profile's Service in the foundation's namespace."""

    port: Port = 8889
    """A TCP port. The BBS' own default."""

    interval: PositiveDuration = 10.0
    """Seconds between two probes. Each probe writes a line to the log of the BBS, so they should not be frequent."""

    timeout: Annotated[PositiveDuration, Derived(_no_longer_than_the_interval), Between(_within_interval)] = 5.0
    """Seconds that one probe may take, at most the interval.

    A shorter interval shortens a timeout that nobody set, as with Prometheus' scrape timeout.
    """

    tls: BbsTls | None = None
    """The certificates for a call of the BBS's API after the connect; None: the exporter only connects."""


class DiegoApi(Strict, frozen=True, kw_only=True):
    """The pods that run BBS and Locket, and the label of the active one."""

    statefulset: OneOrMoreNames = ("diego-api",)
    """The StatefulSets of these pods. The default is the same in every profile."""

    active_label: LabelText = Label(key="skiff-role-active", value="true")
    """The label, with its value, of the active pod. From the profile."""

    min_ready: Count | None = None
    """How many pods are expected to be ready; None: all replicas."""

    probe_pods: bool = True
    """Whether to connect to the address of each pod as well, and not only to `bbs.host`."""


class CloudController(Strict, frozen=True, kw_only=True):
    """The pods from inside which the BBS must be reachable."""

    statefulset: OneOrMoreNames = ("api",)
    """The StatefulSets of these pods. From the profile."""

    container: ContainerName | None = None
    """The container where `nc` runs. From the profile.

    None: the one of the default-container annotation, else the one with the StatefulSet's name, else the first.
    """


def _profile(name: str) -> None:
    if name not in PROFILES:
        raise RuleError(f"must be one of {', '.join(PROFILES)}, not {quoted(name)}")


def _longer_than_between_probes(staleness: float, above: Mapping[str, Any]) -> None:
    bbs: Bbs | None = above.get("bbs")
    # Otherwise a series would vanish between two good probes.
    if bbs and staleness < bbs.interval:
        raise RuleError(
            f"must be at least bbs.interval ({format_duration(bbs.interval)}), not {format_duration(staleness)}"
        )


class Foundation(Strict, frozen=True, kw_only=True):
    """One Cloud Foundry, resolved. The defaults are those of the profile cfee-2 in the namespace cf."""

    name: FoundationName
    """A unique name, the value of the label `foundation` in every metric and alert. No default."""

    profile: Annotated[str, Rule(_profile)] = DEFAULT_PROFILE
    """The distribution, which presets other keys; see docs/profiles.md."""

    kubeconfig: PlainText | None = None
    """An absolute path; None: the pod's service account, else `$KUBECONFIG`, else `~/.kube/config`."""

    context: PlainText | None = None
    """A context of the kubeconfig; None: its current context."""

    namespace: Namespace = "cf"
    """The Kubernetes namespace of the foundation's pods."""

    bbs: Bbs = Bbs()
    """The address that is probed, and how often."""

    diego_api: DiegoApi = DiegoApi()
    """The pods behind that address."""

    cloud_controller: CloudController = CloudController()
    """The pods that need that address."""

    restart: Names = ("diego-api",)
    """The StatefulSets to restart, in this order. From the profile: what precedes, then `diego_api.statefulset`."""

    database: HostPort | None = None
    """Locket's database, probed as evidence only; None: it is not probed."""

    locket: HostPort | None = None
    """Locket itself, probed as evidence only; None: it is not probed."""

    staleness: Annotated[PositiveDuration, Between(_longer_than_between_probes)] = 60.0
    """Seconds that the last known value is published without news, at least `bbs.interval`."""

    remediation: Remediation = Remediation()
    """What the webhook may do here: the general `remediation`, overridden key by key."""


class Config(Strict, frozen=True, kw_only=True):
    """The whole file."""

    foundations: tuple[Foundation, ...]
    """At least one; all of them are watched by one exporter and one webhook."""

    webhook: Webhook = Webhook()
    """What only the webhook uses."""

    def foundation(self, name: str) -> Foundation | None:
        """The foundation of that name, or None."""
        return next((each for each in self.foundations if each.name == name), None)
