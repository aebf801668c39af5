"""The manifests in `deploy/`: generated files are up to date, and every pod keeps the strictest security standard."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import build
from exporter.config.check import validated
from exporter.config.load import load
from exporter.config.model import Foundation
from webhook.operator import cli
from webhook.operator.manifests import manifests

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = sorted(file for file in DEPLOY.rglob("*.yaml") if not file.name.endswith(".patch.yaml"))
OBJECTS: list[dict[str, Any]] = [
    each for file in FILES for each in yaml.safe_load_all(file.read_text()) if "kind" in each
]
DEPLOYMENTS = [each for each in OBJECTS if each["kind"] == "Deployment"]

each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each["metadata"]["name"])


def test_generated_files_are_up_to_date() -> None:
    assert build.main(["--check"]) == 0


def test_a_file_that_differs_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in build.FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    assert build.main([], directory=tmp_path) == 0
    assert build.main(["--check"], directory=tmp_path) == 0
    (tmp_path / "base/rbac.yaml").write_text("something else")

    assert build.main(["--check"], directory=tmp_path) == 1
    assert "base/rbac.yaml is out of date" in capsys.readouterr().err


@each_deployment
def test_pods_keep_the_restricted_security_standard(deployment: dict[str, Any]) -> None:
    """As Kubernetes' Pod Security Standards list it for `restricted`."""
    spec = deployment["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert {next(iter(set(volume) - {"name"})) for volume in spec["volumes"]} <= {"configMap", "secret"}
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert "limits" in container["resources"]


@each_deployment
def test_the_service_leads_to_the_pods(deployment: dict[str, Any]) -> None:
    name = deployment["metadata"]["name"]
    (service,) = (each for each in OBJECTS if each["kind"] == "Service" and each["metadata"]["name"] == name)
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    (port,) = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert service["spec"]["ports"] == [{"name": "http", "port": port["containerPort"], "targetPort": port["name"]}]


@pytest.mark.parametrize("file", sorted(DEPLOY.rglob("diego.yaml")), ids=lambda file: file.parent.name)
def test_the_configs_are_valid_and_delete_nothing(file: Path) -> None:
    config = load(str(file), program="runbook")
    assert {each.remediation.mode for each in config.foundations} == {"observe"}


def test_the_overlay_for_people_adds_the_users_and_changes_nothing_else() -> None:
    base, patch = (
        yaml.safe_load_all((DEPLOY / file).read_text())
        for file in ("base/webhook.yaml", "overlays/people/webhook.patch.yaml")
    )
    (before,) = (each["spec"]["template"]["spec"] for each in base if each["kind"] == "Deployment")
    (after,) = (each["spec"]["template"]["spec"] for each in patch)
    (secret,) = yaml.safe_load((DEPLOY / "overlays/people/kustomization.yaml").read_text())["secretGenerator"]
    (mount,), (volume,) = after["containers"][0]["volumeMounts"], after["volumes"]
    (file,) = secret["files"]

    flag = f"--web.config.file={mount['mountPath']}/{file}"
    assert after["containers"][0]["command"] == [*before["containers"][0]["command"], flag]
    assert after["containers"][0]["name"] == before["containers"][0]["name"]
    assert (mount["name"], volume["secret"]["secretName"]) == (volume["name"], secret["name"])
    assert volume["name"] not in {each["name"] for each in before["volumes"]}


def test_the_overlay_for_several_foundations_removes_the_roles_of_the_base_one_by_one() -> None:
    """kustomize 5 crashes on a patch that deletes several objects."""
    patches = yaml.safe_load((DEPLOY / "overlays/several-foundations/kustomization.yaml").read_text())["patches"]
    removed = [yaml.safe_load(each["patch"]) for each in patches]  # one document each, or this raises
    assert {each.pop("$patch") for each in removed} == {"delete"}
    base = list(yaml.safe_load_all((DEPLOY / "base/rbac.yaml").read_text()))
    assert [_identity(each) for each in removed] == [_identity(each) for each in base]


def _identity(each: dict[str, Any]) -> tuple[str, str, str, str]:
    return each["apiVersion"], each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]


def test_the_route_of_the_operator_is_the_shipped_one() -> None:
    shipped = yaml.safe_load((DEPLOY.parent / "alerts" / "alertmanager.yml").read_text())
    route = next(each for each in shipped["route"]["routes"] if each["receiver"] == "diego-webhook")
    (config,) = (each for each in OBJECTS if each["kind"] == "AlertmanagerConfig")
    operators = config["spec"]["route"]

    assert operators["groupBy"] == route["group_by"]
    assert (operators["groupWait"], operators["groupInterval"], operators["repeatInterval"]) == (
        route["group_wait"], route["group_interval"], route["repeat_interval"],
    )  # fmt: skip
    assert operators["continue"] is route["continue"] is True
    (matcher,) = operators["matchers"]
    assert [f'{matcher["name"]}{matcher["matchType"]}"{matcher["value"]}"'] == route["matchers"]


def test_two_foundations_in_one_namespace_have_roles_of_their_own() -> None:
    def names(foundation: str) -> set[str]:
        made = manifests([validated(Foundation, {"name": foundation})], replicas=2, namespace="diego-medic")
        return {each["metadata"]["name"] for each in yaml.safe_load_all(made)}

    assert not names("east") & names("west")


def test_every_pod_of_a_statefulset_is_named() -> None:
    made = yaml.safe_load_all(manifests([validated(Foundation, {"name": "cf"})], replicas=3, namespace="elsewhere"))
    (role,) = (each for each in made if each["kind"] == "Role" and each["metadata"]["name"] == "diego-webhook-cf")
    named = {(rule["resources"][0], *rule["resourceNames"]) for rule in role["rules"] if "resourceNames" in rule}
    assert ("pods", "diego-api-0", "diego-api-1", "diego-api-2") in named
    assert ("pods/exec", "api-0", "api-1", "api-2") in named


def test_the_command_prints_what_is_committed(capsys: pytest.CaptureFixture[str]) -> None:
    base = DEPLOY / "base"
    assert cli.main(["--config.file", str(base / "diego.yaml"), "manifests", "cf", "--replicas", "2"]) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    assert printed == list(yaml.safe_load_all((base / "rbac.yaml").read_text()))


def test_as_json_it_is_a_list_of_the_same_objects(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--config.file", str(DEPLOY / "base" / "diego.yaml"), "manifests", "--readers", "cf-oncall"]
    assert cli.main(flags) == 0
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    assert cli.main([*flags, "-o", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["apiVersion"], printed["kind"]) == ("v1", "List")
    assert printed["items"] == documents
    assert len(documents) == 6


def test_a_number_of_replicas_that_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["--config.file", str(DEPLOY / "base" / "diego.yaml"), "manifests", "--replicas", "0"])
    assert "'0' is not a number from 1 to 100" in capsys.readouterr().err
