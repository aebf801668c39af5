"""The exporter as a process: flags, exit codes, signals, reload. No Kubernetes is needed: its API server is dead."""

import asyncio
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import yaml

from tests.support.certificates import Authority
from tests.support.exporting import eventually, exporting, ran, samples

REACHABLE = "diego_bbs_tcp_reachable{{foundation={},vantage=exporter}}"
PROBES = "diego_bbs_probes_total{{foundation={},result={},vantage=exporter}}"


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a BBS that accepts."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1000)
        yield listening.getsockname()[1]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A kubeconfig for an API server that refuses."""
    path = tmp_path / "kubeconfig"
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"token": "very-secret"}}],
        "contexts": [context],
        "current-context": "a",
    }
    path.write_text(yaml.safe_dump(content))
    return path


def a_foundation(kubeconfig: Path, port: int, *, name: str = "cf", **more: Any) -> dict[str, Any]:
    bbs = {"host": "127.0.0.1", "port": port, "interval": "200ms", "timeout": "100ms"}
    return {"name": name, "namespace": name, "kubeconfig": str(kubeconfig), "bbs": bbs, **more}


@pytest.fixture
def config(tmp_path: Path, kubeconfig: Path, listener: int) -> Path:
    path = tmp_path / "diego.yaml"
    write(path, {"foundations": [a_foundation(kubeconfig, listener)]})
    return path


def write(path: Path, content: Any) -> Any:
    """Writes another config, and returns the one before."""
    before = yaml.safe_load(path.read_text()) if path.exists() else None
    path.write_text(yaml.safe_dump(content))
    return before


async def test_it_serves_while_kubernetes_is_dead(config: Path) -> None:
    """The BBS is known, Kubernetes is not; it becomes ready all the same, and stays it."""
    async with exporting(config) as exporter:
        found = await exporter.until({REACHABLE.format("cf"): 1})

        assert found["diego_kubernetes_synced{foundation=cf}"] == 0
        assert not [name for name in found if name.startswith(("diego_api", "diego_bbs_active", "diego_bbs_serving"))]
        assert found["diego_exporter_config_last_reload_successful"] == 1
        assert [name for name in found if name.startswith("diego_exporter_build_info{")]
        assert found["process_resident_memory_bytes"] > 0

        async def ready() -> bool:
            return await exporter.get("/-/ready") == (200, "diego-exporter is ready.\n")

        await eventually(ready)
        assert "very-secret" not in "\n".join(exporter.log)
        assert found["diego_kubernetes_requests_total{code=error,foundation=cf,verb=list}"] > 0


async def test_the_metrics_are_clean_to_promtool(config: Path) -> None:
    async with exporting(config) as exporter:
        await exporter.until({REACHABLE.format("cf"): 1})
        _, text = await exporter.get("/metrics")

    code, words = await promtool(text)
    assert (code, words) == (0, "")


async def promtool(text: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *["promtool", "check", "metrics"],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(text.encode())
    return process.returncode, output.decode()


async def test_promtool_finds_what_is_not_clean() -> None:
    code, words = await promtool("# TYPE a_total gauge\na_total 1\n")

    assert (code, "no help text" in words) == (3, True)


async def test_a_page_tells_what_is_known(config: Path) -> None:
    async with exporting(config) as exporter:
        await exporter.until({REACHABLE.format("cf"): 1})
        status, text = await exporter.get("/")

        assert status == 200
        assert "reachable (success)" in text
        assert 'href="metrics"' in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_with_zero(config: Path, number: signal.Signals) -> None:
    async with exporting(config) as exporter:
        await exporter.until({REACHABLE.format("cf"): 1})

        assert await exporter.end(number) == 0
        assert "msg=ending" in exporter.log[-1]


@pytest.mark.parametrize("how", ["post", "signal"])
async def test_a_reload_changes_what_changed_and_nothing_else(
    config: Path, kubeconfig: Path, listener: int, how: str
) -> None:
    stays, changes = (
        a_foundation(kubeconfig, listener, name="stays"),
        a_foundation(kubeconfig, listener, name="changes"),
    )
    goes = a_foundation(kubeconfig, listener, name="goes")
    write(config, {"foundations": [stays, changes, goes]})
    async with exporting(config) as exporter:
        before = await exporter.until({REACHABLE.format(name): 1 for name in ("stays", "changes", "goes")})
        comes = a_foundation(kubeconfig, 1, name="comes")
        changed = changes | {"bbs": changes["bbs"] | {"port": 1}}
        write(config, {"foundations": [comes, changed, stays], "remediation": {"mode": "observe"}})
        if how == "post":
            assert (await exporter.get("/-/reload", method="POST"))[0] == 200
        else:
            exporter.process.send_signal(signal.SIGHUP)

        after = await exporter.until(
            {REACHABLE.format("comes"): 0, REACHABLE.format("changes"): 0, REACHABLE.format("stays"): 1}
        )
        assert [name for name in after if "foundation=goes" in name] == []
        assert after[PROBES.format("changes", "success")] >= before[PROBES.format("changes", "success")]
        assert len([line for line in exporter.log if "BBS is reachable" in line and "foundation=stays" in line]) == 1


async def test_a_config_that_is_wrong_is_not_taken_over(config: Path) -> None:
    async with exporting(config) as exporter:
        started = await exporter.until({REACHABLE.format("cf"): 1})
        good = write(config, {"foundations": [{"name": "cf", "nam": "x"}]})
        status, text = await exporter.get("/-/reload", method="POST")

        assert status == 500
        assert "diego.yaml:2: foundations[0].nam" in text
        found = await exporter.metrics()
        assert found["diego_exporter_config_last_reload_successful"] == 0
        name = "diego_exporter_config_last_reload_success_timestamp_seconds"
        assert found[name] == started[name]
        assert found[REACHABLE.format("cf")] == 1
        assert [line for line in exporter.log if "level=ERROR" in line and "foundations[0].nam" in line]

        write(config, good)
        assert (await exporter.get("/-/reload", method="POST"))[0] == 200
        found = await exporter.metrics()
        assert found["diego_exporter_config_last_reload_successful"] == 1
        assert found[name] > started[name]


async def test_a_web_config_guards_all_but_health(config: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    web = tmp_path / "web.yaml"
    write(
        web,
        {
            "tls_server_config": {"cert_file": str(certificate), "key_file": str(key)},
            "basic_auth_users": {"scraper": hashed},
        },
    )
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    async with exporting(config, "--web.config.file", str(web)) as exporter, aiohttp.ClientSession() as session:

        async def status(path: str, *, method: str = "GET", password: str | None = None) -> int:
            given = {} if password is None else {"Authorization": aiohttp.encode_basic_auth("scraper", password)}
            url = f"https://127.0.0.1:{exporter.port}{path}"
            async with session.request(method, url, ssl=trust, headers=given) as response:
                return response.status

        for path in ("/metrics", "/", "/nothing"):
            assert await status(path) == 401, path
        assert await status("/-/reload", method="POST") == 401
        assert [await status("/-/healthy"), await status("/metrics", password="wrong")] == [200, 401]
        assert await status("/metrics", password="secret") == 200
        assert await status("/-/reload", method="POST", password="secret") == 200


async def test_json_logs(config: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "exporter.main", "--config.file", str(config)],
        *["--web.listen-address", "127.0.0.1:0", "--log.format", "json"],
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        line = yaml.safe_load(await asyncio.wait_for(process.stderr.readline(), 20))
        assert (line["msg"], line["level"], line["program"]) == ("started", "INFO", "diego-exporter")
    finally:
        process.terminate()
        await process.communicate()


async def test_a_port_in_use_is_one_clear_line(config: Path, listener: int) -> None:
    code, output, errors = await ran("--config.file", str(config), "--web.listen-address", f"127.0.0.1:{listener}")

    assert (code, output) == (1, "")
    assert errors == f"diego-exporter: can't listen on 127.0.0.1:{listener}: Address already in use\n"


@pytest.mark.parametrize("check", [[], ["--config.check"]], ids=["start", "check"])
async def test_a_bad_config_is_reported_whole_without_a_traceback(tmp_path: Path, check: list[str]) -> None:
    path, web = tmp_path / "bad.yaml", tmp_path / "web.yaml"
    path.write_text("foundations:\n  - name: cf\n    bbs: {port: 0}\n    nam: x\n")
    web.write_text("tls_server: {}\n")

    code, output, errors = await ran("--config.file", str(path), "--web.config.file", str(web), *check)

    assert (code, output) == (1, "")
    assert "Traceback" not in errors
    assert {line.split(": ")[0] for line in errors.splitlines()} == {f"{path}:3", f"{path}:4", f"{web}:1"}


async def test_a_good_config_passes_the_check(config: Path) -> None:
    assert await ran("--config.file", str(config), "--config.check") == (
        0,
        f"{config}: no problems, 1 foundation\n",
        "",
    )


def test_the_check_does_not_pay_for_the_kubernetes_library(config: Path) -> None:
    """It costs a quarter of a second and 40 MiB."""
    code = f"""
import sys
from exporter.main import main
assert main(["--config.check", "--config.file", {str(config)!r}]) == 0
sys.exit("kubernetes_asyncio" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


async def test_the_config_is_diego_yaml_by_default(config: Path) -> None:
    environment = {"PYTHONPATH": str(Path.cwd())}

    assert (await ran("--config.check", cwd=config.parent, env=environment))[0] == 0
    assert (await ran("--config.check", cwd="/", env=environment))[0] == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--no-such-flag"],
        ["--config.file"],
        ["--web.listen-address", "nonsense"],
        ["--log.level", "loud"],
        ["--log.format", "xml"],
        ["--config.ch"],
        ["stray"],
    ],
)
async def test_a_wrong_flag_is_a_usage_error(flags: list[str]) -> None:
    code, _, errors = await ran(*flags)

    assert code == 2
    assert "usage: diego-exporter" in errors
    assert "Traceback" not in errors


async def test_version_and_help() -> None:
    code, output, _ = await ran("--version")
    assert code == 0
    assert output.startswith("diego-exporter 0.")

    code, output, _ = await ran("--help")
    assert code == 0
    for flag in ("--config.file", "--config.check", "--web.listen-address", "--web.config.file", "--log.level"):
        assert flag in output


def test_samples_are_read_as_the_tests_want_them() -> None:
    assert samples('# TYPE a gauge\na{z="1",b="x"} 2\nc 3\n') == {"a{b=x,z=1}": 2, "c": 3}
