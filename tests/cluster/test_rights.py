"""What the shipped Roles permit and refuse, by real requests of both service accounts and by `kubectl auth can-i`.

Requests that would change something are dry runs: the API server authorizes these as all others.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cluster.conftest import Cf
from tests.support.audit import JOURNAL
from tests.support.rawkube import MERGE, RawKube

pytestmark = pytest.mark.cluster

CORE, APPS = "/api/v1/namespaces/cf", "/apis/apps/v1/namespaces/cf"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/cf/leases"
VERBS = {"DELETE": "delete", "POST": "create", "PUT": "update", "PATCH": "patch"}


class Call(NamedTuple):
    """A request, and what `kubectl auth can-i` calls it: a verb, a resource with a name or without, a subresource."""

    method: str
    path: str
    resource: str
    subresource: str = ""
    verb: str = ""

    @property
    def can_i(self) -> list[str]:
        verb = self.verb or VERBS.get(self.method) or ("get" if "/" in self.resource else "list")
        return [verb, self.resource, *([f"--subresource={self.subresource}"] if self.subresource else [])]


def reads(resource: str, name: str, base: str = CORE) -> list[Call]:
    return [Call("GET", f"{base}/{resource}", resource), Call("GET", f"{base}/{resource}/{name}", f"{resource}/{name}")]


def executes(pod: str) -> list[Call]:
    """exec by WebSocket and by SPDY. RBAC sees the name of the pod in both, also where the verb is `create`."""
    path = f"{CORE}/pods/{pod}/exec"
    return [Call("GET", path, f"pods/{pod}", "exec"), Call("POST", path, f"pods/{pod}", "exec")]


def writes(resource: str, name: str, base: str = CORE) -> list[Call]:
    path = f"{base}/{resource}/{name}"
    return [Call(method, path, f"{resource}/{name}") for method in ("PUT", "PATCH", "DELETE")]


LOOKS = [
    *reads("pods", "api-0"),
    *reads("services", "diego-api"),
    *reads("endpoints", "diego-api"),
    *reads("statefulsets", "diego-api", APPS),
]
ACTS = [
    Call("DELETE", f"{CORE}/pods/diego-api-0", "pods/diego-api-0"),
    Call("DELETE", f"{CORE}/pods/diego-api-1", "pods/diego-api-1"),
    *executes("api-0"),
    *executes("api-1"),
    Call("GET", f"{CORE}/pods/diego-api-0/log", "pods/diego-api-0", "log"),
    Call("GET", f"{CORE}/configmaps/{JOURNAL}", f"configmaps/{JOURNAL}"),
    Call("PUT", f"{CORE}/configmaps/{JOURNAL}", f"configmaps/{JOURNAL}"),
    Call("POST", f"{CORE}/configmaps", "configmaps"),
    Call("GET", f"{LEASES}/{JOURNAL}", f"leases/{JOURNAL}"),
    Call("PUT", f"{LEASES}/{JOURNAL}", f"leases/{JOURNAL}"),
    Call("POST", LEASES, "leases"),
    Call("POST", f"{CORE}/events", "events"),
]
NOBODY = [
    # other pods, all pods, and pods of other namespaces
    Call("DELETE", f"{CORE}/pods/api-0", "pods/api-0"),
    Call("DELETE", f"{CORE}/pods/diego-api-2", "pods/diego-api-2"),
    Call("DELETE", f"{CORE}/pods", "pods", verb="deletecollection"),
    Call("PUT", f"{CORE}/pods/diego-api-0", "pods/diego-api-0"),
    Call("PATCH", f"{CORE}/pods/diego-api-0", "pods/diego-api-0"),
    Call("POST", f"{CORE}/pods", "pods"),
    Call("POST", f"{CORE}/pods/diego-api-0/eviction", "pods/diego-api-0", "eviction"),
    *executes("diego-api-0"),
    Call("GET", f"{CORE}/pods/api-0/attach", "pods/api-0", "attach"),
    Call("GET", f"{CORE}/pods/api-0/portforward", "pods/api-0", "portforward"),
    # what decides about pods
    *writes("statefulsets", "diego-api", APPS),
    Call("PATCH", f"{APPS}/statefulsets/diego-api/scale", "statefulsets/diego-api", "scale"),
    *writes("services", "diego-api"),
    *writes("endpoints", "diego-api"),
    # what is secret, and what gives rights
    *reads("secrets", "any"),
    *reads("serviceaccounts", "default"),
    Call("POST", f"{CORE}/serviceaccounts/default/token", "serviceaccounts/default", "token"),
    *reads("roles", "any", "/apis/rbac.authorization.k8s.io/v1/namespaces/cf"),
    # records that are not ours
    *reads("configmaps", "cf-scripts"),
    *writes("configmaps", "cf-scripts"),
    Call("DELETE", f"{CORE}/configmaps/{JOURNAL}", f"configmaps/{JOURNAL}"),
    Call("PATCH", f"{CORE}/configmaps/{JOURNAL}", f"configmaps/{JOURNAL}"),
    *writes("leases", "another", LEASES.removesuffix("/leases")),
    Call("DELETE", f"{LEASES}/{JOURNAL}", f"leases/{JOURNAL}"),
    Call("GET", f"{CORE}/events", "events"),
]
ELSEWHERE = ["/api/v1/namespaces/kube-system/pods", "/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces"]


async def permits(cf: Cf, kubeconfig: Path, call: Call) -> tuple[bool, bool]:
    """Whether the API server permits the request, and whether `kubectl auth can-i` says so."""
    body = b"{}" if call.method in {"PUT", "PATCH", "POST"} else None
    query = {"dryRun": "All"} if call.method != "GET" else {"command": "true"} if call.subresource == "exec" else {}
    content_type = {"content_type": MERGE} if call.method == "PATCH" else {}
    async with RawKube(kubeconfig) as kube:
        answer = await kube.request(call.method, call.path, query, body=body, **content_type)
    told = await cf.can_i(kubeconfig, *call.can_i)
    return answer.code not in {401, 403}, told


@pytest.mark.parametrize(
    ("account", "may", "may_not"),
    [("diego-exporter", LOOKS, [*ACTS, *NOBODY]), ("diego-webhook", [*LOOKS, *ACTS], NOBODY)],
)
async def test_each_account_may_do_this_and_nothing_else(
    cf: Cf, account: str, may: list[Call], may_not: list[Call]
) -> None:
    kubeconfig = await cf.user(account)
    wrong = [("refused", call) for call in may if await permits(cf, kubeconfig, call) != (True, True)]
    wrong += [("permitted", call) for call in may_not if await permits(cf, kubeconfig, call) != (False, False)]
    assert wrong == []


@pytest.mark.parametrize("account", ["diego-exporter", "diego-webhook"])
async def test_no_account_reaches_beyond_the_namespace(cf: Cf, account: str) -> None:
    async with RawKube(await cf.user(account)) as kube:
        answers = {path: (await kube.get(path)).code for path in ELSEWHERE}
    assert answers == dict.fromkeys(ELSEWHERE, 403)
