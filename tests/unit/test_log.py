"""One line a record, in logfmt or JSON."""

import io
import json
import logging
from collections.abc import Callable

import pytest

from exporter.serving.log import configure


def lines(form: str, say: Callable[[logging.Logger], None], *, level: str = "info") -> list[str]:
    stream = io.StringIO()
    configure(level, form, stream=stream)
    say(logging.getLogger("exporter.test"))
    return stream.getvalue().splitlines()


def test_logfmt() -> None:
    def say(log: logging.Logger) -> None:
        log.warning("BBS is %s", "unreachable", extra={"foundation": "cf", "attempts": 3, "ok": False, "none": None})

    (line,) = lines("logfmt", say)

    assert line.startswith("time=2")
    assert "Z level=WARN source=test_log.py:" in line
    assert line.endswith(' msg="BBS is unreachable" foundation=cf attempts=3 ok=false none=null')


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("", '""'),
        ('a "quote"', '"a \\"quote\\""'),
        ("a=b", '"a=b"'),
        ("two\nlines", '"two\\nlines"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("Grüße", "Grüße"),
        ("back\\slash", '"back\\\\slash"'),
    ],
)
def test_a_value_in_logfmt_is_always_one_word(value: str, expected: str) -> None:
    (line,) = lines("logfmt", lambda log: log.info("m", extra={"value": value}))

    assert line.partition(" value=")[2] == expected


def test_json() -> None:
    def say(log: logging.Logger) -> None:
        log.error("no\nway", extra={"foundation": "cf", "attempts": 3})

    (line,) = lines("json", say)
    found = json.loads(line)

    assert list(found) == ["time", "level", "source", "msg", "foundation", "attempts"]
    assert (found["level"], found["msg"], found["foundation"], found["attempts"]) == ("ERROR", "no\nway", "cf", 3)


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_a_traceback_stays_on_the_line(form: str) -> None:
    def say(log: logging.Logger) -> None:
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            log.exception("a metric failed")

    (line,) = lines(form, say)

    assert "Traceback (most recent call last)" in line
    assert "ZeroDivisionError: division by zero" in line


@pytest.mark.parametrize(("level", "expected"), [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)])
def test_the_level_is_a_threshold(level: str, expected: int) -> None:
    def say(log: logging.Logger) -> None:
        for each in (log.debug, log.info, log.warning, log.error):
            each("m")

    assert len(lines("logfmt", say, level=level)) == expected


def test_the_kubernetes_library_does_not_log_what_it_sends() -> None:
    def say(_log: logging.Logger) -> None:
        logging.getLogger("kubernetes_asyncio.client.rest").debug("response body: %s", "a token")

    assert lines("logfmt", say, level="debug") == []


@pytest.mark.parametrize("form", ["logfmt", "json"])
@pytest.mark.parametrize("char", ["\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\udcff", "\U000e0001"])
def test_no_character_that_is_not_printable_reaches_the_log(form: str, char: str) -> None:
    """C1 controls steer some terminals, NEL and the line separators part lines, and a lone surrogate is no text."""
    (line,) = lines(form, lambda log: log.info("m", extra={"value": f"Grüße{char}2J"}))

    assert line.isprintable()
    assert "Grüße\\u" in line
    quoted = json.loads(line)["value"] if form == "json" else json.loads(line.partition(" value=")[2])
    assert quoted == f"Grüße{char}2J"
