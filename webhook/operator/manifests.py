"""`diego-runbook manifests`: the Roles of both programs, and of people who only read, with exactly what each needs."""

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from exporter.config.model import Foundation
from webhook.operator.permissions import Permission, needed, reading, reading_people

EXPORTER, WEBHOOK, READER = "diego-exporter", "diego-webhook", "diego-reader"
GROUP = "rbac.authorization.k8s.io"


def manifests(foundations: Iterable[Foundation], *, replicas: int, namespace: str, readers: Sequence[str] = ()) -> str:
    """The objects as YAML documents."""
    found = objects(foundations, replicas=replicas, namespace=namespace, readers=readers)
    return "---\n".join(yaml.safe_dump(each, sort_keys=False) for each in found)


def objects(
    foundations: Iterable[Foundation], *, replicas: int, namespace: str, readers: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Roles in each foundation's namespace, bound to the service accounts in `namespace`, and to the groups `readers`.

    RBAC knows no patterns, so each pod is listed by its name: those of `replicas` pods of each StatefulSet.
    """
    found: list[dict[str, Any]] = []
    for foundation in foundations:
        roles = [
            (EXPORTER, reading(), [_account(EXPORTER, namespace)]),
            (WEBHOOK, _of_webhook(foundation, replicas), [_account(WEBHOOK, namespace)]),
        ]
        if readers:
            roles.append((READER, reading_people(foundation), [_group(name) for name in readers]))
        for name, permissions, subjects in roles:
            # Two foundations may share a namespace, so the names contain the foundation.
            found += _role(f"{name}-{foundation.name}", permissions, subjects, foundation.namespace)
    return found


def _account(name: str, namespace: str) -> dict[str, str]:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _group(name: str) -> dict[str, str]:
    return {"apiGroup": GROUP, "kind": "Group", "name": name}


def _of_webhook(foundation: Foundation, replicas: int) -> tuple[Permission, ...]:
    return needed(
        foundation,
        deleted=_pods(foundation.restart, replicas),
        asked=_pods(foundation.cloud_controller.statefulset, replicas),
    )


def _pods(statefulsets: Iterable[str], replicas: int) -> list[str]:
    return [f"{name}-{ordinal}" for name in statefulsets for ordinal in range(replicas)]


def _role(
    name: str, permissions: Sequence[Permission], subjects: Sequence[dict[str, str]], namespace: str
) -> Iterable[dict[str, Any]]:
    metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "diego-medic"}}
    yield {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": _rules(permissions),
    }
    yield {
        "apiVersion": f"{GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": dict(metadata),
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": name},
        "subjects": list(subjects),
    }


def _rules(permissions: Sequence[Permission]) -> list[dict[str, Any]]:
    """As few rules as possible: what has the same verbs and names is one."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for each in permissions:
        resource = f"{each.resource}/{each.subresource}" if each.subresource else each.resource
        verbs.setdefault((each.group, resource, each.name), []).append(each.verb)
    merged: dict[tuple[str, tuple[str, ...], bool], tuple[list[str], list[str]]] = {}
    for (group, resource, name), of_name in verbs.items():
        # Resources with names are kept apart: a rule grants each of its names for each of its resources.
        key = (group if not name else f"{group}/{resource}", tuple(of_name), bool(name))
        resources, names = merged.setdefault(key, ([], []))
        if resource not in resources:
            resources.append(resource)
        if name:
            names.append(name)
    return [
        {"apiGroups": [key[0].partition("/")[0]], "resources": resources, "verbs": list(key[1])}
        | ({"resourceNames": names} if names else {})
        for key, (resources, names) in merged.items()
    ]
