"""The permissions that the runbook needs in a foundation's namespace, and which of them are missing."""

import asyncio
from dataclasses import dataclass

from exporter.config.model import Foundation
from exporter.config.names import component_names
from exporter.foundation.view import FoundationView
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


def needed(foundation: Foundation, view: FoundationView | None) -> tuple[Permission, ...]:
    """All of them, by the names of the pods in the view (a Role names them, so those that exist are asked for)."""
    reading = ("get", "list", "watch")
    rules = [Permission(verb, "", kind) for kind in ("pods", "services", "endpoints") for verb in reading]
    rules += [Permission(verb, "apps", "statefulsets") for verb in reading]
    rules.append(Permission("get", "", "pods", "log"))
    components = view.components if view is not None else {}
    for name in component_names(foundation):
        pods = components[name].pods if name in components else ()
        if name in foundation.restart:
            rules += [Permission("delete", "", "pods", name=pod.name) for pod in pods]
        if name in foundation.cloud_controller.statefulset:
            rules += [
                Permission(verb, "", "pods", "exec", name=pod.name)
                for pod in to_ask(pods)
                for verb in ("get", "create")
            ]
    for group, kind in (("", "configmaps"), ("coordination.k8s.io", "leases")):
        rules += [Permission(verb, group, kind, name=journal_name(foundation)) for verb in ("get", "update")]
        rules.append(Permission("create", group, kind))
    return (*rules, Permission("create", "", "events"))


async def missing(writer: Writer, foundation: Foundation, view: FoundationView | None) -> tuple[Permission, ...]:
    """Asks the API server about each. Raises KubernetesError."""
    rules = needed(foundation, view)
    allowed = await asyncio.gather(
        *(
            writer.allowed(rule.verb, rule.group, rule.resource, subresource=rule.subresource, name=rule.name)
            for rule in rules
        )
    )
    return tuple(rule for rule, granted in zip(rules, allowed, strict=True) if not granted)
