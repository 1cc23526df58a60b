"""What may be typed after `/`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.columns import Column
from screens import filters

COLUMNS = (
    Column("name", "NAME", lambda one: one["name"]),
    Column("memory.used_bytes", "MEMORY", lambda one: one["memory"], unit="bytes"),
    Column("cpu.busy_cores", "CPU", lambda one: one["cpu"], unit="cores"),
)
ITEMS = (
    {"name": "Web", "memory": 100 * 1024**2, "cpu": 0.5, "labels": {"tier": "front"}},
    {"name": "db=1", "memory": None, "cpu": None, "labels": {}},
)


def accepted(text: str) -> list[str]:
    wanted = filters.parse(text, COLUMNS, lambda one: one["labels"])
    return [one["name"] for one in ITEMS if wanted.accepts(one)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["Web", "db=1"]),
        ("   ", ["Web", "db=1"]),
        ("we", ["Web"]),
        ("WEB", ["Web"]),
        ("name=web", ["Web"]),
        ("name!=web", ["db=1"]),
        ("memory>99M", ["Web"]),
        ("memory>=100MiB", ["Web"]),
        ("memory<1G", ["Web"]),
        ("cpu<=0.5", ["Web"]),
        ("cpu>50%", []),
        ("cpu>=50%", ["Web"]),
        ("cpu=none", ["db=1"]),
        ("tier=front", ["Web"]),
        ("tier!=front", ["db=1"]),
        ("name=~b", ["Web", "db=1"]),
        ("/^w/", ["Web"]),
        ("/w.b|d/", ["Web", "db=1"]),
        ("!web", ["db=1"]),
        ("web memory>1", ["Web"]),
        ("memory>lots", []),
        ('"db=1"', []),
    ],
)
def test_each_kind_of_word_does_what_it_says(text: str, names: list[str]) -> None:
    assert accepted(text) == names


def test_a_broken_regex_is_said_and_searched_for_as_it_stands() -> None:
    wanted = filters.parse("/(/", COLUMNS)
    assert "not a regular expression" in wanted.problem
    assert not [one for one in ITEMS if wanted.accepts(one)]


@given(st.text(max_size=30) | st.text('/=!<>~()[]{}*+?\\" am1%', max_size=12))
def test_anything_may_be_typed(text: str) -> None:
    accepted(text)
