"""Lines in a terminal of some size."""

from webhook.operator.layout import BAR, Row, rows
from webhook.operator.lines import Line, Section

HEAD = Section(0, (Line("the head"),))


def texts(found: list[Row]) -> list[str]:
    return [row.lead + row.text for row in found]


def section(rank: int, count: int, *, name: str = "") -> Section:
    return Section(rank, tuple(Line(f"{name or rank}.{number}") for number in range(count)))


def test_a_long_text_goes_on_below_its_own_beginning() -> None:
    line = Line("one two three four five six seven", lead="  You  ", kind="good", tone="strong")
    found = rows([Section(0, (line,))], width=32, height=10)
    assert texts(found) == ["  You  one two three four five", "       six seven"]
    assert {(row.kind, row.tone) for row in found} == {("good", "strong")}


def test_a_name_is_not_broken_at_a_hyphen() -> None:
    found = rows([Section(0, (Line("look at pod diego-api-0 now"),))], width=22, height=10)
    assert texts(found) == ["look at pod", "diego-api-0 now"]


def test_what_is_cut_off_is_marked() -> None:
    found = rows([Section(0, (Line("word " * 50, most=2),))], width=30, height=10)
    assert len(found) == 2
    assert found[-1].text.endswith(" …")
    assert max(len(row.text) for row in found) <= 30


def test_a_bar_is_as_full_as_its_share() -> None:
    found = [rows([Section(0, (Line("x", share=share),))], width=60, height=5)[0].done for share in (0, 0.5, 1)]
    assert found == [0, BAR // 2, BAR]


def test_with_room_sections_stand_apart_and_single_lines_do_not() -> None:
    assert texts(rows([HEAD, section(1, 2), HEAD, HEAD], width=40, height=10)) == [
        "the head",
        "",
        "1.0",
        "1.1",
        "",
        "the head",
        "the head",
    ]


def test_with_less_room_the_free_rows_go_first_and_then_what_matters_least() -> None:
    sections = [HEAD, section(1, 2), section(3, 2), section(2, 2)]
    assert texts(rows(sections, width=80, height=7)) == ["the head", "1.0", "1.1", "3.0", "3.1", "2.0", "2.1"]
    assert texts(rows(sections, width=80, height=6)) == [
        "the head",
        "1.0",
        "1.1",
        "2.0",
        "2.1",
        "… 2 more lines: make the terminal larger",
    ]


def test_of_the_same_rank_the_last_goes_first() -> None:
    sections = [HEAD, section(1, 2, name="a"), section(1, 2, name="b")]
    found = texts(rows(sections, width=80, height=4, several=True))
    assert found == ["the head", "a.0", "a.1", "… 2 more lines: make the terminal larger, or watch one foundation"]


def test_what_must_stay_of_a_section_stays() -> None:
    run = Section(1, (Line("title"), Line("done"), Line("now"), Line("later")), short=(Line("title"), Line("now")))
    assert texts(rows([HEAD, run], width=80, height=4))[:3] == ["the head", "title", "now"]


def test_however_small_it_fits_and_says_what_is_missing() -> None:
    for height in range(2, 11):
        found = rows([section(0, 5), section(1, 5)], width=30, height=height, footer=Line("the end"))
        assert len(found) <= max(height, 3)
        assert found[-1].text == "the end"
        assert any(row.text.startswith("… ") for row in found)


def test_escapes_are_made_visible() -> None:
    found = rows([Section(0, (Line("\x1b[31mred\ttab\nline", lead="\x07 "),))], width=60, height=5)
    assert texts(found) == ["\\x07 \\x1b[31mred tab line"]
