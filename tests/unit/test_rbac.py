"""The manifests grant what the programs ask for, and nothing else."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from exporter.foundation.look import look
from exporter.foundation.view import FoundationView
from tests.support.foundations import foundation, pod
from tests.support.incident import FAST, MachineClock
from tests.support.inprocess import InProcessWriter, healthy_foundation
from tests.support.watched_views import LEADER, PASSIVE, component, components
from webhook.medic.wiring import store_for
from webhook.operator.lookout import Lookout
from webhook.operator.manifests import objects
from webhook.operator.permissions import Permission, needed_now, reading_people

pytestmark = pytest.mark.looptime(noop_cycles=1)

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


async def test_people_who_only_read_may_do_what_their_commands_ask_for_and_nothing_else() -> None:
    """By the calls that they make: `watch`, `history`, `show`, `report`, and `check` without the proof."""
    cluster = healthy_foundation()
    writer = InProcessWriter(cluster)
    settings = foundation(remediation=FAST)
    store = store_for(settings, writer)
    lookout = Lookout(settings, writer, store, clock=MachineClock(), random=Random(1), dial=cluster.dial)
    watching = asyncio.create_task(lookout.run())
    await asyncio.sleep(10)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await look(writer, settings, clock=MachineClock(), dial=cluster.dial)

    may = {f"{each.verb} {each.resource}" for each in reading_people(settings)}
    assert set(writer.calls) <= may
    # The rest is for kubectl, which the next steps name; it is what the exporter's Role has as well.
    assert may - set(writer.calls) <= {"get pods", "list services"}
    named = {each for each in reading_people(settings) if each.name}
    assert named == {
        Permission("get", "", "configmaps", name="diego-medic-diego-api"),
        Permission("get", "coordination.k8s.io", "leases", name="diego-medic-diego-api"),
    }
    assert {each.verb for each in reading_people(settings)} == {"get", "list", "watch"}


def test_the_role_of_people_who_only_read_is_printed_where_their_groups_are_named() -> None:
    without, with_readers = (
        objects([foundation()], replicas=2, namespace="diego-medic", readers=groups)
        for groups in ((), ("cf-oncall", "oidc:support"))
    )
    assert with_readers[: len(without)] == without
    role, binding = with_readers[len(without) :]
    assert (role["kind"], role["metadata"]["name"], role["metadata"]["namespace"]) == ("Role", "diego-reader-cf", "cf")
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert not [rule for rule in role["rules"] if {"pods/exec", "secrets"} & set(rule["resources"])]
    assert binding["roleRef"]["name"] == "diego-reader-cf"
    assert binding["subjects"] == [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name}
        for name in ("cf-oncall", "oidc:support")
    ]


def test_nothing_reaches_beyond_the_foundations_namespace() -> None:
    kinds = [each["kind"] for each in OBJECTS]

    assert sorted(set(kinds)) == ["Role", "RoleBinding"]
    assert {each["metadata"]["namespace"] for each in OBJECTS if each["kind"].startswith("Role")} == {"cf"}


def test_each_role_is_bound_to_the_account_of_its_name() -> None:
    bindings = [each for each in OBJECTS if each["kind"] == "RoleBinding"]

    bound = {(each["roleRef"]["name"], *(who["name"] for who in each["subjects"])) for each in bindings}

    assert bound == {("diego-exporter-cf", "diego-exporter"), ("diego-webhook-cf", "diego-webhook")}
