"""The webhook as a process: its config, its reload, its signals."""

import signal
from pathlib import Path

import yaml

from sandbox.sandbox import Sandbox
from tests.support.incidents import alert, boxed, config, fire, notification
from tests.support.programs import Webhook, command, running, serving, until

RELOADED = "diego_webhook_config_last_reload_successful"
MODE = "diego_remediation_mode{{foundation={},mode={}}}"


def rewrite(path: Path, box: Sandbox, *, name: str = "cf", mode: str = "auto") -> None:
    """Changes the config in place, as an editor or a mounted ConfigMap does."""
    document = config(box, remediation={"mode": mode}, name=name)
    path.write_text(yaml.safe_dump(document))


async def test_a_reload() -> None:
    async with boxed() as box:
        path = box.write_config(config(box))
        async with serving(path) as webhook:
            rewrite(path, box, name="renamed", mode="observe")
            assert (await webhook.request("POST", "/-/reload"))[0] == 200
            found = await webhook.metrics()
            assert found[MODE.format("renamed", "observe")] == 1
            assert MODE.format("cf", "auto") not in found
            assert (await webhook.notify(notification(alert())))[0] == 200  # nobody knows it any more


async def test_a_reload_of_a_wrong_config_keeps_the_old_one() -> None:
    async with boxed() as box:
        path = box.write_config(config(box))
        async with serving(path) as webhook:
            before = await webhook.metrics()
            for wrong in ("foundations: []", "foundation: [", "remediation: {mode: automatic}", None):
                if wrong is None:
                    path.unlink()
                else:
                    path.write_text(wrong)
                status, _, said = await webhook.request("POST", "/-/reload")
                assert status == 500
                assert str(path) in said
                found = await webhook.metrics()
                assert found[RELOADED] == 0
                at = "diego_webhook_config_last_reload_success_timestamp_seconds"
                assert found[at] == before[at]
                assert found[MODE.format("cf", "auto")] == 1
            await fire(webhook)
            assert (await webhook.ended())["outcome"] == "not-needed"

            rewrite(path, box)
            assert (await webhook.request("POST", "/-/reload"))[0] == 200
            assert (await webhook.metrics())[RELOADED] == 1
            assert "Traceback" not in webhook.text


async def test_a_reload_by_signal() -> None:
    async with boxed() as box:
        path = box.write_config(config(box))
        async with serving(path) as webhook:
            rewrite(path, box, mode="observe")
            webhook.signal(signal.SIGHUP)
            await webhook.until_metrics({MODE.format("cf", "observe"): 1, RELOADED: 1})
            path.write_text("{")
            webhook.signal(signal.SIGHUP)
            await webhook.until_metrics({MODE.format("cf", "observe"): 1, RELOADED: 0})


async def test_a_token_that_is_gone_at_a_reload_changes_nothing() -> None:
    """Neither the token nor the foundations: it is all or nothing."""
    async with boxed() as box:
        token = box.directory / "token"
        token.write_text("secret")
        path = box.write_config(config(box, webhook={"bearer_token_file": str(token)}))
        async with serving(path) as webhook:
            webhook.headers = {"Authorization": "Bearer secret"}
            empty = box.directory / "empty"
            empty.touch()
            document = config(box, name="renamed", webhook={"bearer_token_file": str(empty)})
            path.write_text(yaml.safe_dump(document))
            assert (await webhook.request("POST", "/-/reload"))[0] == 500
            found = await webhook.metrics()
            assert found[RELOADED] == 0
            assert MODE.format("cf", "auto") in found
            assert (await webhook.get("/api/v1/runs"))[0] == 200


async def test_taking_the_token_away_at_a_reload_opens_no_door() -> None:
    """On loopback whoever is there may ask; beyond it nobody can be told apart any more, and nobody may."""
    async with boxed() as box:
        token = box.directory / "token"
        token.write_text("secret")
        guarded, plain = config(box, webhook={"bearer_token_file": str(token)}), config(box)
        for address, code in (("0.0.0.0:0", 401), ("127.0.0.1:0", 200)):
            path = box.write_config(guarded)
            async with serving(path, address=address) as webhook:
                assert (await webhook.get("/api/v1/runs"))[0] == 401
                path.write_text(yaml.safe_dump(plain))
                webhook.signal(signal.SIGHUP)

                async def reloaded(webhook: Webhook = webhook) -> bool:
                    return "reloaded" in webhook.text

                await until(reloaded, what="the reload")
                assert (await webhook.get("/api/v1/runs"))[0] == code
                assert (await webhook.get("/metrics"))[0] == 200


async def test_signals_that_end_it() -> None:
    async with boxed() as box:
        path = box.write_config(config(box))
        for number in (signal.SIGTERM, signal.SIGINT):
            async with serving(path) as webhook:
                assert await webhook.end(number) == 0
                assert "msg=stopping" in webhook.text
        box.fault("api-hang")
        webhook = Webhook(path)
        async with running(webhook, ready=False):
            assert await webhook.end() == 0


async def test_checking_the_config() -> None:
    async with boxed() as box:
        path = box.write_config(config(box))
        checked = await command("webhook.main", "--config.file", str(path), "--config.check")
        assert (checked.code, checked.output, checked.errors) == (0, f"{path}: no problems, 1 foundation\n", "")

        document = config(box)
        del document["remediation"]["mode"]
        document["remediation"]["confirm"]["attempts"] = 0
        document["foundations"][0]["bbs"]["prot"] = 8889
        path = box.write_config(document)
        checked = await command("webhook.main", "--config.file", str(path), "--config.check")
        started = await command("webhook.main", "--config.file", str(path), "--web.listen-address", "127.0.0.1:0")
        for ended in (checked, started):
            assert ended.code == 1
            lines = ended.errors.splitlines()
            assert all(line.startswith(f"{path}:") for line in lines)
            assert [line.split(": ")[1] for line in lines] == [
                "foundations[0].bbs.prot",
                "remediation.mode",
                "remediation.confirm.attempts",
            ]
        assert (await command("webhook.main", "--config.file", "/nowhere/diego.yaml", "--config.check")).code == 1
        assert (await command("webhook.main", "--no-such-flag")).code == 2
        assert (await command("webhook.main", "--version")).output.startswith("diego-webhook ")


async def test_it_starts_while_the_api_server_is_away() -> None:
    """It says so, is ready, and goes to work when it can."""
    async with boxed() as box:
        box.fault("api-kill")
        async with serving(box.write_config(config(box))) as webhook:
            found = await webhook.metrics()
            assert "diego_remediation_run_in_progress{foundation=cf}" not in found
            assert (await webhook.get("/"))[0] == 200
            assert "journal not readable" in (await webhook.get("/"))[1]
            box.fault("api-start")
            await webhook.until_metrics({"diego_webhook_leader{foundation=cf}": 1})
            await fire(webhook)
            assert (await webhook.ended())["outcome"] == "not-needed"
