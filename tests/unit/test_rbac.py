"""The manifests grant what the programs ask for, and nothing else."""

from pathlib import Path
from typing import Any

import yaml

from exporter.foundation.view import FoundationView
from tests.support.foundations import foundation, pod
from tests.support.watched_views import LEADER, PASSIVE, component, components
from webhook.operator.permissions import Permission, needed_now

DEPLOY = Path(__file__).parents[2] / "deploy"
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "base" / "rbac.yaml").read_text()))
VIEW = FoundationView(
    components=components(component("diego-api", LEADER, PASSIVE), component("api", pod("api", 0), pod("api", 1)))
)
READING = {
    Permission(verb, group, kind)
    for verb in ("get", "list", "watch")
    for group, kind in (("", "pods"), ("", "services"), ("", "endpoints"), ("apps", "statefulsets"))
}


def granted(program: str) -> set[Permission]:
    """What the program's Role grants, a permission for each verb and name."""
    (role,) = (each for each in OBJECTS if each["kind"] == "Role" and each["metadata"]["name"] == f"{program}-cf")
    return {
        Permission(verb, group, *_resource(resource), name=name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def _resource(text: str) -> tuple[str, str]:
    resource, _, subresource = text.partition("/")
    return resource, subresource


def test_the_webhook_may_do_what_its_runbook_asks_for_and_nothing_else() -> None:
    assert set(needed_now(foundation(), VIEW)) == granted("diego-webhook")


def test_the_exporter_may_only_read() -> None:
    assert granted("diego-exporter") == READING


def test_nothing_reaches_beyond_the_foundations_namespace() -> None:
    kinds = [each["kind"] for each in OBJECTS]

    assert sorted(set(kinds)) == ["Role", "RoleBinding"]
    assert {each["metadata"]["namespace"] for each in OBJECTS if each["kind"].startswith("Role")} == {"cf"}


def test_each_role_is_bound_to_the_account_of_its_name() -> None:
    bindings = [each for each in OBJECTS if each["kind"] == "RoleBinding"]

    bound = {(each["roleRef"]["name"], *(who["name"] for who in each["subjects"])) for each in bindings}

    assert bound == {("diego-exporter-cf", "diego-exporter"), ("diego-webhook-cf", "diego-webhook")}
