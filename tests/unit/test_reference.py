"""The generated parts of docs/: every setting, metric and word of a closed list is there, with a sentence."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from exporter.config.check import validated
from exporter.config.docstrings import below_fields
from exporter.config.kinds import kind_of
from exporter.config.model import Foundation
from exporter.config.types import Duration, Rule, Strict
from exporter.foundation.view import FoundationView
from exporter.gauges import GAUGES, Gauge, ViewAt
from reference import build, metrics, words
from reference.pages import page, table
from reference.settings import SECTIONS, Setting, settings
from tests.support.editors import SCHEMA

ROOT = Path(__file__).parents[2]
SETTINGS = {each.path: each for section in SECTIONS for each in settings(section)}


def test_the_committed_pages_are_what_the_code_says() -> None:
    assert build.main(["--check"]) == 0


def test_a_page_that_differs_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build.main([], directory=tmp_path)
    (tmp_path / "runs.md").write_text("something else")

    assert build.main(["--check"], directory=tmp_path) == 1
    assert "runs.md is out of date" in capsys.readouterr().err


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_every_setting_has_a_sentence(setting: Setting) -> None:
    """For who writes the file: so none about attributes, `None` or seconds as numbers."""
    assert re.fullmatch(r"[A-Z`].{12,}\.", setting.text), f"{setting.path}: write a string below the field"
    assert not re.search(r"\bNone\b|\bSeconds\b|^The field", setting.text)


def test_every_key_that_a_file_may_have_is_listed() -> None:
    """The schema, which is made of the same models, names the keys in blocks of its own."""

    def keys(schema: dict[str, Any], path: str) -> Iterator[str]:
        blocks = [schema, *schema.get("anyOf", ())]
        for key, below in ((k, v) for block in blocks for k, v in block.get("properties", {}).items()):
            here = f"{path}.{key}".removeprefix(".")
            inside = [*keys(below, here), *keys(below.get("items", {}), f"{here}[]")]
            yield from inside or [here]

    expected = {key for key in keys(SCHEMA, "") if not key.startswith("foundations[].remediation.")}
    assert expected <= set(SETTINGS)
    assert len(expected) > 30


@pytest.mark.parametrize(
    ("path", "kind", "default"),
    [
        ("foundations[].name", "name, at most 40 characters", "required"),
        ("foundations[].bbs.host", "host name or IP address", "`diego-api.NAMESPACE.svc.cluster.local`, by profile"),
        ("foundations[].bbs.interval", "duration", "`10s`"),
        ("foundations[].diego_api.min_ready", "number, at least 1", "none"),
        ("foundations[].diego_api.probe_pods", "`true` or `false`", "`true`"),
        ("foundations[].restart", "list of names", "`[diego-api]`, by profile"),
        ("remediation.confirm.attempts", "number, at least 1", "`4`, by profile"),
        ("remediation.breaker.window", "duration", "`6h`"),
        ("remediation.mode", "`observe`, `approve`, `auto`", "none"),
    ],
)
def test_type_and_default_are_as_one_writes_them(path: str, *, kind: str, default: str) -> None:
    assert (SETTINGS[path].kind, SETTINGS[path].default) == (kind, default)


def test_who_uses_a_setting() -> None:
    assert SETTINGS["foundations[].namespace"].used_by == ("exporter", "webhook", "runbook")
    assert SETTINGS["foundations[].cloud_controller.container"].used_by == ("webhook", "runbook")
    assert SETTINGS["foundations[].cloud_controller.statefulset"].used_by == ("exporter", "webhook", "runbook")
    assert SETTINGS["remediation.breaker.runs"].used_by == ("webhook", "runbook")
    assert SETTINGS["webhook.bearer_token_file"].used_by == ("webhook",)


def test_the_exporter_reads_none_of_the_settings_of_others() -> None:
    others = {path.rpartition(".")[2] for path, each in SETTINGS.items() if "exporter" not in each.used_by}
    assert {"container", "max_pods"} <= others
    others.remove("window")  # a watch has one, too
    ours = {path.rpartition(".")[2] for path, each in SETTINGS.items() if "exporter" in each.used_by}
    read = {
        node.attr
        for file in (ROOT / "exporter").rglob("*.py")
        if "config" not in file.parts
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert (others - ours) & read == set()


def test_a_type_that_nobody_has_put_into_words_is_an_error() -> None:
    class Odd(Strict, frozen=True, kw_only=True):
        wait: Annotated[float, Rule(float)] = 1.0

    from reference.settings import _settings

    with pytest.raises(TypeError, match="needs a `Written`"):
        list(_settings(Odd, path="odd", presets={}))
    assert kind_of(Duration).written is not None


class _Documented:
    one: int
    """The first,
    on two lines."""
    two: int = 2
    three: int
    """The third."""

    def method(self) -> None:
        """No field."""


def test_the_string_below_a_field_is_found() -> None:
    assert below_fields(_Documented) == {"one": "The first, on two lines.", "three": "The third."}


@pytest.mark.parametrize("gauge", GAUGES, ids=lambda gauge: gauge.name)
def test_a_gauge_is_absent_while_nothing_is_known_or_says_that_it_never_is(gauge: Gauge) -> None:
    unknown = ViewAt(validated(Foundation, {"name": "cf"}), FoundationView(), 1_000.0)
    assert gauge.absent
    assert (list(gauge.samples(unknown)) != []) == (gauge.absent == "never")


def test_what_the_webhook_says_of_an_unread_journal_is_so() -> None:
    present = {family.name for family in metrics.unread().collect() if family.samples}
    rows = re.findall(r"^\| `(\w+)` .* \| (.*) \|$", metrics.webhook_tables()["journal"], re.MULTILINE)
    assert {name for name, absent in rows if absent == "never"} == present == {"diego_remediation_mode"}
    assert {absent.rpartition("; ")[2] for name, absent in rows if name not in present} <= {
        "while the journal is unread", "while it is unread",
    }  # fmt: skip


def test_the_tables_have_each_metric_once() -> None:
    for tables in (metrics.exporter_tables(), metrics.webhook_tables()):
        names = re.findall(r"^\| `(\w+)` \|", "".join(tables.values()), re.MULTILINE)
        assert len(names) == len(set(names)) > 10
    (row,) = re.findall(r".*`diego_bbs_probes_total`.*", metrics.exporter_tables()["BBS"])
    assert row == (
        "| `diego_bbs_probes_total` | counter | `result`; `vantage` | Number of probes of the BBS, by result. | never |"
    )


def test_a_metric_that_no_table_has_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(metrics._EXPORTER_GROUPS, "pods")
    with pytest.raises(ValueError, match=r"no table of docs/metrics\.md has diego_api_ready"):
        metrics.exporter_tables()


def test_every_word_of_a_closed_list_has_a_sentence() -> None:
    """An enum's member without one is a KeyError already."""
    for name, text in words.tables().items():
        rows = text.splitlines()[2:]
        assert rows, name
        assert [row for row in rows if not re.fullmatch(r"\| `[a-z-]+` \|.* [A-Z`].{8,}[.?] \|", row)] == []


def test_a_page_and_its_parts_must_agree(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("Before.\n<!-- generated: a -->\nold\n<!-- generated: end -->\nAfter.\n")

    new = page(file, {"a": "new\n"})
    assert new == "Before.\n<!-- generated: a -->\n\nnew\n\n<!-- generated: end -->\nAfter.\n"
    with pytest.raises(ValueError, match="has the parts a, and the code has b"):
        page(file, {"b": "new\n"})


def test_a_cell_cannot_end_itself() -> None:
    assert table(["a"], [["x|y"]]) == "| a |\n| --- |\n| x\\|y |\n"
