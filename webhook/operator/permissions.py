"""The permissions that the runbook needs in a foundation's namespace, and which of them are missing."""

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.config.model import Foundation
from exporter.config.names import component_names
from exporter.foundation.view import FoundationView
from exporter.tasks import together
from webhook.record.store import journal_name
from webhook.runbook.cloud_controller import to_ask
from webhook.writer import Writer


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule of a Role, as `kubectl auth can-i` asks for it."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        resource += f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {resource}" + (f" {self.name}" if self.name else "")


READING = ("get", "list", "watch")
_BOOKS = (("", "configmaps"), ("coordination.k8s.io", "leases"))


def reading() -> tuple[Permission, ...]:
    """What both programs need to see a foundation."""
    kinds = (("", "pods"), ("", "services"), ("", "endpoints"), ("apps", "statefulsets"))
    return tuple(Permission(verb, group, kind) for group, kind in kinds for verb in READING)


def reading_people(foundation: Foundation) -> tuple[Permission, ...]:
    """What the commands need that only read: `watch`, `history`, `show`, `report`, and `check` without the proof.

    The proof needs exec, with which a person can do anything in an api pod.
    """
    return (*reading(), *(Permission("get", group, kind, name=journal_name(foundation)) for group, kind in _BOOKS))


def needed(foundation: Foundation, *, deleted: Sequence[str], asked: Sequence[str]) -> tuple[Permission, ...]:
    """All that the webhook needs, by the names of the pods that it may delete and of those that it checks from."""
    rules = [*reading(), Permission("get", "", "pods", "log")]
    rules += [Permission("delete", "", "pods", name=name) for name in deleted]
    rules += [Permission(verb, "", "pods", "exec", name=name) for name in asked for verb in ("get", "create")]
    for group, kind in _BOOKS:
        rules += [Permission(verb, group, kind, name=journal_name(foundation)) for verb in ("get", "update")]
        rules.append(Permission("create", group, kind))
    return (*rules, Permission("create", "", "events"))


def needed_now(foundation: Foundation, view: FoundationView | None) -> tuple[Permission, ...]:
    """What a run at this moment would need."""
    components = view.components if view is not None else {}
    pods = {name: components[name].pods for name in component_names(foundation) if name in components}
    return needed(
        foundation,
        deleted=[pod.name for name in foundation.restart for pod in pods.get(name, ())],
        asked=[pod.name for name in foundation.cloud_controller.statefulset for pod in to_ask(pods.get(name, ()))],
    )


async def missing(writer: Writer, foundation: Foundation, view: FoundationView | None) -> tuple[Permission, ...]:
    """Asks the API server about each. Raises KubernetesError."""
    rules = needed_now(foundation, view)
    async with together() as start:
        asked = [
            start(writer.allowed(rule.verb, rule.group, rule.resource, subresource=rule.subresource, name=rule.name))
            for rule in rules
        ]
    return tuple(rule for rule, allowed in zip(rules, asked, strict=True) if not allowed.result())
