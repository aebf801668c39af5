"""Whether something is drawn, and whether in colour."""

import io

import pytest

from webhook.operator.terminal import draws_on, in_colour, plain_symbols


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self._terminal = terminal
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "term", "draws"),
    [
        (True, "xterm-256color", True),
        (True, "vt100", True),
        (True, "dumb", False),
        (True, "DUMB", False),
        (True, "unknown", False),
        (True, "", False),
        (True, None, False),
        (False, "xterm-256color", False),
    ],
)
def test_it_is_drawn_only_on_a_terminal_that_can_move_its_cursor(terminal: bool, term: str | None, draws: bool) -> None:
    assert draws_on(Stream(terminal=terminal), {} if term is None else {"TERM": term}) is draws


@pytest.mark.parametrize(("environment", "colour"), [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "0"}, False)])
def test_any_text_in_no_color_forbids_colour(environment: dict[str, str], colour: bool) -> None:
    assert in_colour(environment) is colour


@pytest.mark.parametrize(
    ("encoding", "plain"), [("utf-8", False), ("UTF8", False), ("iso8859-1", True), ("ascii", True)]
)
def test_a_terminal_without_unicode_gets_plain_symbols(encoding: str, plain: bool) -> None:
    assert plain_symbols(Stream(terminal=True, encoding=encoding)) is plain
