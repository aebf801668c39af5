"""How one logs in to an API server; the one module that imports kubernetes-asyncio.

Kubeconfigs, service accounts, login plugins and TLS are the library's, and nothing else is: its models cost a hundred
times what decoding our own fields costs, and its watch neither relists nor notices a server that went silent.
"""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from kubernetes_asyncio.client.configuration import Configuration

IN_CLUSTER_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
LIBRARY = "kubernetes_asyncio"
READ_BUFFER = 2**21
"""Bytes; a line of a watch may have twice as many. An object has at most 1.5 MiB in etcd."""


class Account:
    """An API server with the credentials for it, and the connections to it."""

    def __init__(self, configuration: "Configuration") -> None:
        """Within a running event loop. Raises OSError, or its SSLError, for certificates that cannot be used."""
        self._configuration = configuration
        self.host = str(configuration.host).rstrip("/")
        known = {"proxy": configuration.proxy, "server_hostname": configuration.tls_server_name}
        self.options: Mapping[str, str] = {name: value for name, value in known.items() if value}
        """The options of the kubeconfig that aiohttp takes for each request."""
        connector = aiohttp.TCPConnector(limit=0, ssl=_tls(configuration))  # no limit: each watch holds a connection
        self.session = aiohttp.ClientSession(connector=connector, trust_env=True, read_bufsize=READ_BUFFER)

    async def authorization(self) -> str | None:
        """The value of the Authorization header, None where there is no token; one on disk is read again when due."""
        value: str | None = await self._configuration.get_api_key_with_prefix("BearerToken")
        return value and value.strip()

    async def close(self) -> None:
        await self.session.close()


def _tls(configuration: "Configuration") -> ssl.SSLContext | bool:
    """The TLS of the kubeconfig; True: aiohttp's own, with the authorities of the system, which it has loaded."""
    if configuration.ssl_ca_cert is None and configuration.cert_file is None and configuration.verify_ssl:
        return True
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def account(*, kubeconfig: str | None, context: str | None) -> Account:
    """The account of a kubeconfig; without one that of the pod, else of `$KUBECONFIG`, else of `~/.kube/config`.

    The library's parser has no error type of its own for most of what can be wrong with a kubeconfig: any may come.
    """
    # Late, because a program starts, checks its config and serves without it.
    _import_without_models()
    from kubernetes_asyncio.client.configuration import Configuration  # noqa: PLC0415
    from kubernetes_asyncio.config import load_incluster_config, load_kube_config  # noqa: PLC0415

    configuration = Configuration()
    path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    if kubeconfig is None and context is None and os.path.exists(IN_CLUSTER_TOKEN):  # noqa: ASYNC240, PTH110 - local, once
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        with suppress(ImportError, AttributeError):  # a newer library may have another way: then that is used as it is
            loader: Any = import_module(f"{LIBRARY}.config.kube_config")
            loader.ExecProvider = _ending_with_the_wait(import_module(f"{LIBRARY}.config.exec_provider").ExecProvider)
        await load_kube_config(
            config_file=os.path.expanduser(path),  # noqa: ASYNC240, PTH111 - $KUBECONFIG may be a list
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    return Account(configuration)


def _ending_with_the_wait(library: type[Any]) -> type[Any]:
    """The library's class that runs a login plugin, which ends the plugin when nobody waits for it any more.

    The library's own leaves a plugin that hangs, and starts another at each attempt to log in. What the two say to each
    other: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
    """

    class LoginPlugin(library):  # type: ignore[misc]
        async def run(self, previous_response: str | None = None) -> Any:  # noqa: ARG002 - of a version that is gone
            spec = {"interactive": sys.stdout.isatty()}
            asked = json.dumps({"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec})
            environment = self.env | {"KUBERNETES_EXEC_INFO": asked}
            pipe = asyncio.subprocess.PIPE
            plugin = await asyncio.create_subprocess_exec(*self.args, env=environment, stdout=pipe, stderr=pipe)
            try:
                answer, complaint = await plugin.communicate()
            finally:
                if plugin.returncode is None:
                    plugin.kill()
                    await plugin.wait()
            if plugin.returncode:
                said = complaint.decode(errors="replace").strip()
                raise ValueError(f"login plugin {self.args[0]}: exit status {plugin.returncode}: {said}")
            try:
                return _status(json.loads(answer), self.api_version)
            except (ValueError, LookupError, TypeError) as error:
                raise ValueError(f"login plugin {self.args[0]}: its output is no ExecCredential: {error!r}") from error

    return LoginPlugin


def _status(credential: Any, version: str) -> Any:
    """The login in an ExecCredential. Raises ValueError, LookupError and TypeError for what is none."""
    if credential["apiVersion"] != version:
        raise ValueError(f"apiVersion {credential['apiVersion']}, not {version}")
    return credential["status"]


def _import_without_models() -> None:
    """Makes the modules in use importable without the thousand that are not.

    `import kubernetes_asyncio` executes each model and each class of the API: a third of a second and 33 MiB. It is the
    packages' `__init__` that does so; the modules themselves need little of each other. So the two packages are made
    here, found but not executed, and given the names that the library's own modules import from them. Should a release
    need more of itself, the whole library is imported as usual.
    """
    if LIBRARY in sys.modules:
        return
    try:
        for name in (LIBRARY, f"{LIBRARY}.client"):
            if spec := find_spec(name):
                sys.modules[name] = module_from_spec(spec)
        names: Any = sys.modules[f"{LIBRARY}.client"]
        names.Configuration = import_module(f"{LIBRARY}.client.configuration").Configuration
        names.ApiClient = None  # of use only to functions that are not called here
        import_module(f"{LIBRARY}.config")
    except (ImportError, AttributeError, KeyError):
        for name in [each for each in sys.modules if each.partition(".")[0] == LIBRARY]:
            del sys.modules[name]
