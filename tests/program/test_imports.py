"""What each program imports: what is listed here, and nothing else. An import costs memory, and time at each start."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.support.apis import kubeconfig

_AIOHTTP = {"aiohappyeyeballs", "aiohttp", "aiosignal", "attr", "frozenlist", "idna", "multidict", "propcache", "yarl"}
_CONFIG = {"msgspec", "yaml"}
_CLIENT = _AIOHTTP | _CONFIG
_SERVER = _CLIENT | {"prometheus_client"}
_TEMPLATES = {"jinja2", "markupsafe"}
_LIBRARY = {"kubernetes_asyncio", "six", "urllib3"}

_DEAR = {"ctypes", "multiprocessing", "pydoc", "unittest", "xml"}
"""Parts of the standard library that are large, and of no use here."""

_LIST = """
import json, sys, sysconfig
site = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
def loaded():
    files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
    return sorted(name for name, file in files.items() if file.startswith(site) or name.split(".")[0] in DEAR)
"""


async def imported(code: str) -> set[str]:
    """The modules outside of the standard library, but for this project's, that a new process has after this."""
    text = f"DEAR = {_DEAR!r}{_LIST}before = set(loaded())\n{code}\nprint(json.dumps(sorted(set(loaded()) - before)))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", text, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return set(json.loads(output.splitlines()[-1]))


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules if not name.startswith(("_", "exporter.", "webhook."))}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("exporter.main", _SERVER),
        ("webhook.main", _SERVER | _TEMPLATES),
        ("webhook.operator.execute", _CLIENT),
        ("webhook.operator.cli", set()),
        ("exporter.config.load", _CONFIG),
    ],
)
async def test_a_program_imports_what_it_needs(module: str, expected: set[str]) -> None:
    """No Kubernetes library before there is a cluster to ask, and no bcrypt and no cryptography without users."""
    found = packages(await imported(f"import {module}")) - {"exporter", "webhook"}

    assert found - {"typing_extensions"} == expected  # that one depends on the version of Python


async def test_the_help_imports_the_parser_and_the_names_of_the_log_levels() -> None:
    code = """
from webhook.operator.cli import main
try:
    main(["check", "--help"])
except SystemExit as ended:
    assert ended.code == 0
own = {name for name in sys.modules if name.partition(".")[0] in ("exporter", "webhook")}
assert own == {
    "exporter", "exporter.clock", "exporter.serving", "exporter.serving.log",
    "webhook", "webhook.operator", "webhook.operator.cli",
}, own
"""
    assert packages(await imported(code)) <= {"exporter", "webhook"}


async def test_what_one_command_needs_is_imported_for_it_only() -> None:
    code = """
import webhook.operator.execute
own = {name for name in sys.modules if name.partition(".")[0] in ("exporter", "webhook")}
assert not own & {
    "exporter.config.schema", "exporter.config.kinds", "exporter.config.docstrings",
    "webhook.operator.completion", "webhook.operator.display", "webhook.operator.run_display",
}, own
"""
    await imported(code)


async def test_to_draw_in_a_terminal_imports_rich_and_none_of_its_parts_that_colour_code() -> None:
    code = """
import io
from webhook.operator.display import Display
from webhook.operator.layout import Row
kept, sys.stdout = sys.stdout, io.StringIO()
with Display(full=True) as display:
    display.show(lambda width, height: [Row(text="x", kind="good", tone="strong")])
assert "x" in sys.stdout.getvalue()
sys.stdout = kept
"""
    assert packages(await imported(code)) - {"exporter", "webhook", "typing_extensions"} == {"msgspec", "rich"}


async def test_to_log_in_imports_no_model_of_the_kubernetes_library(tmp_path: Path) -> None:
    """Fails with a release of it that needs more of itself than before: then it is imported whole (account.py)."""
    path = kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:1", token="t")
    code = f"""
import asyncio
from exporter.kubernetes.account import account
async def log_in():
    found = await account(kubeconfig={str(path)!r}, context=None)
    assert await found.authorization() == "Bearer t"
    await found.close()
asyncio.run(log_in())
"""
    found = await imported(code)
    parts = {name.removeprefix("kubernetes_asyncio.") for name in found if name.startswith("kubernetes_asyncio.")}

    assert packages(found) - {"exporter"} <= _AIOHTTP | _LIBRARY | {"msgspec", "typing_extensions", "yaml"}
    assert parts == {
        "client",
        "client.configuration",
        "client.exceptions",
        "config",
        "config.config_exception",
        "config.dateutil",
        "config.exec_provider",
        "config.google_auth",
        "config.incluster_config",
        "config.kube_config",
        "config.openid",
    }


async def test_a_library_that_needs_more_of_itself_is_imported_whole(tmp_path: Path) -> None:
    """An operator may install a release that is newer than ours: that costs memory, and not the program."""
    library = tmp_path / "kubernetes_asyncio"
    for folder in ("client", "config"):
        (library / folder).mkdir(parents=True)
    (library / "__init__.py").write_text("from kubernetes_asyncio import client, config\n")
    (library / "client" / "__init__.py").write_text(
        "from kubernetes_asyncio.client.configuration import Configuration\nADDED = 'https://added.example'\n"
    )
    (library / "client" / "configuration.py").write_text(
        "class Configuration:\n    host = ssl_ca_cert = cert_file = proxy = tls_server_name = None\n"
        "    verify_ssl = True\n"
    )
    (library / "config" / "__init__.py").write_text(
        "from kubernetes_asyncio.client import ADDED\n"
        "load_incluster_config = None\n"
        "async def load_kube_config(*, client_configuration, **_):\n    client_configuration.host = ADDED\n"
    )
    code = f"""
import asyncio
sys.path.insert(0, {str(tmp_path)!r})
from exporter.kubernetes.account import account
async def log_in():
    found = await account(kubeconfig="any", context=None)
    await found.close()
    return found.host
assert asyncio.run(log_in()) == "https://added.example"
"""
    await imported(code)
