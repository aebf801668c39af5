"""The model of the one config file that all programs share.

The string below a field is what docs/configuration.md says about it. The models have resolved values: the defaults,
overlaid by the profile, overlaid by the file, with the general `remediation` merged into each foundation. Attribute
names are the file's keys; durations are seconds as floats.
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
from exporter.config.written import Written


class HostPort(Strict, frozen=True, kw_only=True):
    """An address to connect to."""

    host: Host
    """A DNS name or an IP address, without scheme and port."""

    port: Port
    """A TCP port of that host."""


class BbsTls(Strict, frozen=True, kw_only=True):
    """With what the exporter calls the BBS's API, which speaks mutual TLS. No other program reads these files."""

    ca: PlainText
    """A file with the authorities that sign the BBS's certificate, in PEM format; no others are trusted."""

    cert: PlainText
    """A file with a client's certificate that the BBS accepts, in PEM format; read again when it changes."""

    key: PlainText
    """A file with its private key, in PEM format and not encrypted; read again when it changes."""

    server_name: Host | None = None
    """The name that the BBS's certificate must have, at whichever address it answers; without it, `bbs.host`."""


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
    """The BBS's address as the Cloud Controller uses it: a DNS name or an IP address, without scheme and port."""

    port: Port = 8889
    """The port of the BBS's API."""

    interval: PositiveDuration = 10.0
    """Time between two probes. Each probe writes a line to the log of the BBS, so do not probe often."""

    timeout: Annotated[PositiveDuration, Derived(_no_longer_than_the_interval), Between(_within_interval)] = 5.0
    """How long one probe may take, at most the interval. If it is not given, a shorter interval shortens it."""

    tls: BbsTls | None = None
    """The certificates for a call of the BBS's API after the connect; without it, the exporter only connects."""


class DiegoApi(Strict, frozen=True, kw_only=True):
    """The pods that run BBS and Locket, and the label of the active one."""

    statefulset: OneOrMoreNames = ("diego-api",)
    """The StatefulSets of the pods that run the BBS."""

    active_label: LabelText = Label(key="skiff-role-active", value="true")
    """The label, with its value, that only the active pod carries."""

    min_ready: Count | None = None
    """How many pods are expected to be ready; if it is not given, all replicas."""

    probe_pods: bool = True
    """Whether to connect to each pod's own address as well, and not only to `bbs.host`."""


class CloudController(Strict, frozen=True, kw_only=True):
    """The pods from inside which the BBS must be reachable."""

    statefulset: OneOrMoreNames = ("api",)
    """The StatefulSets of the Cloud Controller's pods, from inside which the BBS must be reachable."""

    container: ContainerName | None = None
    """The container where `nc` runs.

    If it is not given: that of the default-container annotation, else the one with the StatefulSet's name, else the
    first.
    """


_PROFILE_NAME = Written("name of a profile", {"enum": list(PROFILES)})


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
    """A unique name, the value of the label `foundation` in every metric and alert."""

    profile: Annotated[str, Rule(_profile), _PROFILE_NAME] = DEFAULT_PROFILE
    """The distribution, which sets the defaults of other keys."""

    kubeconfig: PlainText | None = None
    """A kubeconfig; if it is not given, the pod's service account, else `$KUBECONFIG`, else `~/.kube/config`."""

    context: PlainText | None = None
    """A context of the kubeconfig; if it is not given, its current context."""

    namespace: Namespace = "cf"
    """The namespace of the foundation's pods."""

    bbs: Bbs = Bbs()
    """The address that is probed, and how often."""

    diego_api: DiegoApi = DiegoApi()
    """The pods behind that address."""

    cloud_controller: CloudController = CloudController()
    """The pods that need that address."""

    restart: Names = ("diego-api",)
    """The StatefulSets to restart, in this order; each must be ready before the next.

    If it is not given, it follows `diego_api.statefulset`.
    """

    database: HostPort | None = None
    """The address of Locket's database: probed as evidence; its result never prevents or causes a run."""

    locket: HostPort | None = None
    """The address of Locket: probed as evidence; its result never prevents or causes a run."""

    staleness: Annotated[PositiveDuration, Between(_longer_than_between_probes)] = 60.0
    """How long the last known value is published without news; at least `bbs.interval`."""

    remediation: Remediation = Remediation()
    """Overrides of the general `remediation` for this foundation, key by key."""


class Config(Strict, frozen=True, kw_only=True):
    """The whole file."""

    foundations: tuple[Foundation, ...]
    """At least one; all of them are watched by one exporter and one webhook."""

    webhook: Webhook = Webhook()
    """What only the webhook uses."""

    def foundation(self, name: str) -> Foundation | None:
        """The foundation of that name, or None."""
        return next((each for each in self.foundations if each.name == name), None)
