"""The config file: what it resolves to, and the report of each mistake in it."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from exporter.config.errors import ConfigError, Problem
from exporter.config.load import load
from exporter.config.model import Bbs, Config, DiegoApi, Foundation, HostPort
from exporter.config.remediation import Confirm, Mode, Remediation, Verify
from exporter.config.resolve import ProgramName
from exporter.config.types import Label

CONFIGS = Path(__file__).parent.parent / "config"
BAD = sorted(path.stem for path in (CONFIGS / "bad").glob("*.yaml"))


def good(name: str, *, program: ProgramName = "exporter") -> Config:
    return load(str(CONFIGS / "good" / f"{name}.yaml"), program=program)


def program_of(name: str) -> ProgramName:
    return "webhook" if name.startswith("webhook-") else "exporter"


def report(name: str, *, program: ProgramName) -> str:
    with pytest.raises(ConfigError) as caught:
        load(name, program=program, thorough=True)
    return "".join(f"{problem}\n" for problem in caught.value.problems)


@pytest.fixture
def in_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(CONFIGS / "bad")
    return CONFIGS


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_the_report_beside_it(name: str, in_folder: Path) -> None:
    """Each file breaks one rule, and the report names file, line and path, and nothing besides."""
    expected = Path(f"{name}.expected").read_text(encoding="utf-8")
    assert report(f"{name}.yaml", program=program_of(name)).replace(str(in_folder), "…") == expected


def test_each_report_has_its_file() -> None:
    """No expected report outlives the file that it was written for, and there are enough of them."""
    assert sorted(path.stem for path in (CONFIGS / "bad").glob("*.expected")) == BAD
    assert len(BAD) >= 12


def test_every_mistake_is_reported_at_once(in_folder: Path) -> None:
    """Whoever corrects what is reported is done: no mistake shows only in the second report."""
    lines = report("everything-at-once.yaml", program="webhook").splitlines()
    assert [line.split(": ")[0].rpartition(":")[2] for line in lines] == [
        *("2", "3", "4", "4", "4", "5", "5", "6", "8", "9", "10", "11", "12"),
    ]


def test_an_empty_file_gives_the_contracts_defaults() -> None:
    """A name is all that is required, and the defaults are the contract's, written out in full.yaml."""
    minimal, full = good("minimal"), good("full")
    assert minimal.foundations[0].remediation.mode is None
    with_mode = replace(minimal.foundations[0].remediation, mode=Mode.AUTO)
    assert replace(minimal.foundations[0], remediation=with_mode) == full.foundations[0]
    assert full.foundations[0] == Foundation(name="cf", remediation=Remediation(mode=Mode.AUTO))


def test_full_yaml_is_read_as_written() -> None:
    """The defaults in full.yaml are read from the file, in seconds, and not only equal to the code's own."""
    foundation = good("full").foundations[0]
    assert (foundation.bbs.interval, foundation.bbs.timeout, foundation.staleness) == (10.0, 5.0, 60.0)
    assert foundation.remediation.verify == Verify(attempts=3, interval=2.0, timeout=120.0)
    assert (foundation.remediation.cooldown, foundation.remediation.retry) == (900.0, 60.0)
    assert (foundation.remediation.breaker.runs, foundation.remediation.breaker.window) == (3, 21_600.0)
    assert (foundation.remediation.request_ttl, foundation.remediation.approval_timeout) == (1_200.0, 1_800.0)
    assert foundation.remediation.await_ready.timeout is None
    assert str(foundation.diego_api.active_label) == "skiff-role-active=true"


@pytest.mark.parametrize(
    ("name", "host", "api", "label", "restart", "attempts"),
    [
        ("two", "diego-api.two.svc.cluster.local", "api", "skiff-role-active=true", ("diego-api",), 4),
        ("one", "diego-api.one.svc.cluster.local", "api", "skiff-role-active=true", ("diego-locket", "diego-api"), 4),
        ("late", "diego-api-set.late.svc.cluster.local", "api-group", "skiff-role-active=true", ("diego-api",), 4),
        ("scf", "diego-api-bbs.scf.svc.cluster.local", "api", "skiff-role-active=true", ("diego-api",), 4),
        (
            "kubecf",
            "diego-api.kubecf.svc.cluster.local",
            "api",
            "quarks.cloudfoundry.org/pod-active=active",
            ("diego-api",),
            6,
        ),
    ],
)
def test_a_profile_presets_what_its_distribution_has(
    name: str, *, host: str, api: str, label: str, restart: tuple[str, ...], attempts: int
) -> None:
    """The contract's table, with the foundation's own namespace in the host."""
    foundation = good("profiles").foundation(name)
    assert foundation is not None
    assert foundation.bbs.host == host
    assert foundation.cloud_controller.statefulset == (api,)
    assert foundation.cloud_controller.container == ("api-group" if name == "late" else None)
    assert str(foundation.diego_api.active_label) == label
    assert foundation.diego_api.statefulset == ("diego-api",)
    assert foundation.restart == restart
    assert foundation.remediation.confirm == Confirm(attempts=attempts, interval=10.0)


def test_a_foundation_overrides_the_general_remediation_key_by_key() -> None:
    """What it does not say holds from above: the general part, then the profile, then the defaults."""
    general, own = good("overrides").foundations
    assert general.remediation == Remediation(
        mode=Mode.AUTO, confirm=Confirm(attempts=5), cooldown=5_400.0, request_ttl=7_200.0
    )
    assert (own.remediation.mode, own.remediation.cooldown) == ("observe", 5_400.0)
    assert own.remediation.confirm == Confirm(attempts=5, interval=90.0)
    assert (own.remediation.breaker.runs, own.remediation.breaker.window) == (1, 21_600.0)


def test_the_file_overrides_the_profile() -> None:
    """The profile's other values stay, the host among them, and the restart follows the StatefulSets."""
    own = good("overrides").foundation("own")
    assert own is not None
    assert own.bbs == Bbs(host="diego-api.own.svc.cluster.local", port=18889, interval=2.0, timeout=2.0)
    assert own.diego_api == DiegoApi(
        statefulset=("own-diego-api", "own-diego-api-b"),
        active_label=Label(key="quarks.cloudfoundry.org/pod-active", value="active"),
        min_ready=1,
        probe_pods=True,
    )
    assert own.restart == ("own-diego-api", "own-diego-api-b")
    assert own.database == HostPort(host="fd00::1", port=3306)
    assert own.locket == HostPort(host="locket.own.svc.cluster.local", port=8891)


def test_relative_paths_start_from_the_files_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wherever the program was started, as with Prometheus."""
    monkeypatch.chdir(tmp_path)
    config = good("overrides", program="webhook")
    assert config.foundations[0].kubeconfig == str(CONFIGS / "good" / "kubeconfig")
    assert config.webhook.bearer_token_file == str(CONFIGS / "good" / "token")


def test_a_path_may_start_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "kubeconfig").touch()
    (tmp_path / "diego.yaml").write_text("foundations: [{name: cf, kubeconfig: ~/kubeconfig}]")
    config = load(str(tmp_path / "diego.yaml"), program="exporter")
    assert config.foundations[0].kubeconfig == str(tmp_path / "kubeconfig")


def test_empty_blocks_anchors_and_aliases_are_plain_yaml() -> None:
    """A block of nothing but comments changes nothing; an alias is what it stands for."""
    first, second = good("terse").foundations
    assert (first.name, first.bbs) == ("2024-01-01", Bbs(host="bbs.example.com.", interval=15.0))
    assert second.bbs == Bbs(host="bbs.example.com.", interval=20.0)
    assert first.remediation == second.remediation == Remediation(mode=Mode.OBSERVE, cooldown=0.0)


def test_an_unknown_foundation_is_none() -> None:
    config = good("minimal")
    assert config.foundation("cf") is config.foundations[0]
    assert config.foundation("elsewhere") is None


@pytest.mark.parametrize("program", ["exporter", "runbook"])
def test_only_the_webhook_demands_a_mode(program: ProgramName, in_folder: Path) -> None:
    """The exporter deletes nothing, and the operator's own command says for itself what it may do."""
    assert load("webhook-mode-missing.yaml", program=program).foundations[0].remediation.mode is None


@pytest.mark.parametrize("program", ["exporter", "webhook", "runbook"])
@pytest.mark.parametrize("mode", list(Mode))
def test_every_program_accepts_every_mode(program: ProgramName, mode: Mode, tmp_path: Path) -> None:
    """One file serves all programs."""
    (tmp_path / "diego.yaml").write_text(f"foundations: [{{name: cf}}]\nremediation: {{mode: {mode}}}\n")
    assert load(str(tmp_path / "diego.yaml"), program=program).foundations[0].remediation.mode is mode


OTHER = {
    "link": ("", "", True),
    "copy": ("", "", True),
    "elsewhere": ("127.0.0.1", "127.0.0.2", False),
    "by-proxy": ("6443", '6443", proxy-url: "http://proxy', False),
    "broken": ("clusters:", "x:", False),
}


@pytest.mark.parametrize(("other", "context"), [(each, None) for each in OTHER] + [("copy", "right")])
def test_a_cluster_is_the_same_by_every_kubeconfig(tmp_path: Path, *, other: str, context: str | None) -> None:
    """Otherwise two foundations could share a StatefulSet unnoticed, each with a journal of its own."""
    kubeconfig = (CONFIGS / "good" / "kubeconfig").read_text()
    old, new, same = OTHER[other]
    (tmp_path / "kubeconfig").write_text(kubeconfig)
    if other == "link":
        (tmp_path / other).symlink_to("kubeconfig")
    else:
        (tmp_path / other).write_text(kubeconfig.replace(old, new) if old else kubeconfig)
    named = "" if context is None else f", context: {context}"
    (tmp_path / "diego.yaml").write_text(
        f"foundations: [{{name: one, kubeconfig: kubeconfig, diego_api: {{statefulset: [a, b]}}}}, "
        f"{{name: two, kubeconfig: {other}{named}, diego_api: {{statefulset: [b, a]}}}}]"
    )
    if same:
        assert "foundations[1]: is in the same cluster" in report(str(tmp_path / "diego.yaml"), program="exporter")
    else:
        assert len(load(str(tmp_path / "diego.yaml"), program="exporter").foundations) == 2


def test_only_the_webhook_needs_the_token_file(in_folder: Path) -> None:
    """It is not mounted where the exporter runs."""
    assert load("webhook-token-file-missing.yaml", program="exporter").webhook.bearer_token_file


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.yaml", "nowhere.yaml: cannot be read: No such file or directory"),
        (".", ".: cannot be read: Is a directory"),
        ("a\0b.yaml", '"a\\x00b.yaml": cannot be read: embedded null byte'),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem(name: str, message: str, in_folder: Path) -> None:
    assert report(name, program="exporter") == f"{message}\n"


def test_a_file_of_any_size_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (10 * 1024 * 1024 + 1))
    assert report(str(path), program="exporter") == f"{path}: is larger than 10 MiB\n"


def test_a_problem_reads_like_a_compilers() -> None:
    """So that editors and terminals find the place."""
    assert str(Problem("diego.yaml", 12, "foundations[0].bbs.port", "must be a port")) == (
        "diego.yaml:12: foundations[0].bbs.port: must be a port"
    )
    assert str(Problem("diego.yaml", None, "", "is empty")) == "diego.yaml: is empty"


def test_problems_come_in_the_order_of_the_file() -> None:
    """Each once, though an alias or the general remediation brings one to several foundations."""
    second, first = Problem("f", 2, "b", "x"), Problem("f", 1, "c", "x")
    assert ConfigError([second, first, second]).problems == (first, second)


def test_a_thousand_foundations_are_within_the_bounds(tmp_path: Path) -> None:
    """The bound on values is there against bombs, and must not meet an honest file."""
    text = (CONFIGS / "good" / "full.yaml").read_text(encoding="utf-8")
    head, body = text.split("  - name: cf\n")
    body, tail = body.split("remediation:\n  mode")
    many = "".join(f"  - name: cf-{n}\n{body.replace('namespace: cf', f'namespace: cf-{n}')}" for n in range(1_000))
    path = tmp_path / "many.yaml"
    path.write_text(f"{head}{many}remediation:\n  mode{tail}")
    assert len(load(str(path), program="webhook").foundations) == 1_000
