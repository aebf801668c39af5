"""The exporter's command line: flags, exit codes, and the check of a config."""

from pathlib import Path

import pytest
import yaml

from tests.support.exporting import ran


async def test_a_port_in_use_is_one_clear_line(config: Path, listener: int) -> None:
    code, output, errors = await ran("--config.file", str(config), "--web.listen-address", f"127.0.0.1:{listener}")

    assert (code, output) == (1, "")
    assert errors == f"diego-exporter: cannot listen on 127.0.0.1:{listener}: Address already in use\n"


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


async def test_the_check_of_a_shard_checks_all_and_says_how_many_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "diego.yaml"
    names = ("cf", "prod-eu", "prod-us")  # all of them in shard 1 of 2
    path.write_text(yaml.safe_dump({"foundations": [{"name": name, "namespace": name} for name in names]}))
    for shard, own in (("0/2", 0), ("1/2", 3)):
        output = f"{path}: no problems, 3 foundations, {own} of them in shard {shard}\n"
        assert await ran("--config.file", str(path), "--config.check", "--shard", shard) == (0, output, "")

    path.write_text("foundations: [{name: cf, nam: x}]\n")
    assert (await ran("--config.file", str(path), "--config.check", "--shard", "0/2"))[0] == 1


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
        ["--shard", "3/3"],
        ["--shard", "1"],
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
    for flag in (
        "--config.file",
        "--config.check",
        "--web.listen-address",
        "--web.config.file",
        "--log.level",
        "--shard",
    ):
        assert flag in output
