"""The exporter as a process: signals, reload, HTTP and log. No Kubernetes is needed: its API server is dead."""

import asyncio
import signal
import ssl
import sys
from pathlib import Path

import aiohttp
import bcrypt
import pytest
import yaml

from exporter.config.shard import Shard
from tests.support.certificates import Authority
from tests.support.exporting import a_foundation, eventually, exporting, samples, write

REACHABLE = "diego_bbs_tcp_reachable{{foundation={},vantage=exporter}}"
PROBES = "diego_bbs_probes_total{{foundation={},result={},vantage=exporter}}"


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
        assert "The BBS is reachable." in text
        assert 'href="metrics"' in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_with_zero(config: Path, number: signal.Signals) -> None:
    async with exporting(config) as exporter:
        await exporter.until({REACHABLE.format("cf"): 1})

        assert await exporter.end(number) == 0
        await exporter.said("msg=stopping")


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
        assert len(await exporter.said("BBS is reachable", "foundation=stays")) == 1


async def test_a_shard_observes_its_own_foundations_also_after_a_reload(
    config: Path, kubeconfig: Path, listener: int
) -> None:
    """One that has none is ready, and has nothing to show."""
    foundations = {name: a_foundation(kubeconfig, listener, name=name) for name in ("cf", "g", "h")}
    first, second = ([name for name in foundations if Shard(number, 2).has(name)] for number in range(2))
    assert first
    assert second
    write(config, {"foundations": [foundations[name] for name in first]})
    async with exporting(config, "--shard", "0/2") as one, exporting(config, "--shard", "1/2") as other:
        await one.until({REACHABLE.format(name): 1 for name in first})
        assert await other.get("/-/ready") == (200, "diego-exporter is ready.\n")
        assert not [name for name in await other.metrics() if "foundation=" in name]

        write(config, {"foundations": list(foundations.values())})
        for exporter, own, others in ((one, first, second), (other, second, first)):
            assert (await exporter.get("/-/reload", method="POST"))[0] == 200
            found = await exporter.until({REACHABLE.format(name): 1 for name in own})
            assert not [name for name in found if any(f"foundation={each}" in name for each in others)]


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
        await exporter.said("level=ERROR", "foundations[0].nam")

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


def test_samples_are_read_as_the_tests_want_them() -> None:
    assert samples('# TYPE a gauge\na{z="1",b="x"} 2\nc 3\n') == {"a{b=x,z=1}": 2, "c": 3}
