"""What a container says is shown, and does nothing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from screens import safe
from screens.widgets import cells

ANY = st.text(st.characters(), max_size=40)
NASTY = st.text(
    st.sampled_from(
        "a[]/\\\x00\x07\x1b\x9b\n\r\t\x7f\u200b\u200d\u202e\u2066\u2069\ufeff\u00ad\u0301\u0488界👍🏽🇩\U000e0041\ud800\ufe0f\u3000"
    ),
    max_size=40,
)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain-name_1.2", "plain-name_1.2"),
        ("[red]not red[/]", "[red]not red[/]"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\rc\td\0", "a\\nb\\rc\\td\\0"),
        ("\x7f", "\\x7f"),
        ("exe.\u202egpj", "exe.\\u202egpj"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("a\u200bb", "a\\u200bb"),
        ("\ufeffa", "\\ufeffa"),
        ("a\u2028b", "a\\u2028b"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("a\u3000b", "a\\u3000b"),
        ("a\u00a0b", "a\\xa0b"),
        ("\u2800", "\\u2800"),
        ("\U0001f1e9\U0001f1ea", "\\U0001f1e9\\U0001f1ea"),
        ("👍🏽", "👍\\U0001f3fd"),
        ("❤\ufe0f", "❤\\ufe0f"),
        ("e\u0301", "é"),
        ("界", "界"),
        ("ก็", "ก็"),
        ("●▲✖❄○", "●▲✖❄○"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(said: str, shown: str) -> None:
    assert safe.text(said) == shown


def test_marks_piled_on_a_letter_are_written_out_from_the_third_on() -> None:
    assert safe.text("x" + "\u0322" * 5) == "x\u0322\u0322" + "\\u0322" * 3


@given(ANY | NASTY)
def test_nothing_that_acts_is_left(said: str) -> None:
    for char in safe.text(said):
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Me"}
        assert char == " " or unicodedata.category(char) != "Zs"


@given(ANY | NASTY)
def test_every_character_takes_the_cells_it_is_counted_for(said: str) -> None:
    shown = safe.text(said)
    assert cell_len(shown) == sum(cell_len(char) for char in shown)


@given(ANY | NASTY)
def test_what_is_safe_stays_as_it_is(said: str) -> None:
    assert safe.text(safe.text(said)) == safe.text(said)


@given(ANY | NASTY, st.integers(0, 30), st.booleans())
def test_a_text_is_fitted_into_exactly_its_cells(said: str, width: int, right: bool) -> None:
    assert cell_len(safe.fit(said, width, right=right)) == width


@given(st.lists(ANY | NASTY, max_size=4), st.integers(0, 30), st.booleans())
def test_a_line_of_pieces_is_fitted_into_exactly_its_cells(
    said: list[str], width: int, right: bool
) -> None:
    line = tuple((one, "plain") for one in said)
    assert cells.length(cells.fit(line, width, right=right)) == width


def test_a_cut_wide_character_leaves_no_half_of_it() -> None:
    assert safe.fit("界界界", 4) == "界… "
    assert safe.fit("界界界", 5) == "界界…"
    assert safe.fit("abcdef", 4) == "abc…"
    assert safe.fit("ab", 4, right=True) == "  ab"


def test_lines_of_a_longer_text_stay_lines() -> None:
    assert safe.lines("a\n\tb\x1b") == ["a", "    b\\x1b"]
