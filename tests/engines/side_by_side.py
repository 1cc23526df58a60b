"""What an engine says of its containers beside what a dump says: a table of rows, equal or not."""

import copy
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pytest

_WIDTH: Final = 58
Words = Any
"""What an engine's own command printed, decoded."""
Dump = Any
"""What `cinspect dump` printed, decoded."""


@dataclass(frozen=True)
class Row:
    """One field: what both say, and whether they agree as the rule next to it asks."""

    name: str
    theirs: object
    ours: object
    rule: str
    agree: bool


@dataclass
class Table:
    """The rows of one container."""

    title: str
    rows: list[Row] = field(default_factory=list[Row])

    def same(self, name: str, theirs: object, ours: object) -> None:
        """Add a field that must be equal."""
        self.rows.append(Row(name, theirs, ours, "=", theirs == ours))

    def near(self, name: str, theirs: float, ours: float | None, *, within: float) -> None:
        """Add a number that was read at another moment, and may have moved by so much."""
        agree = ours is not None and abs(ours - theirs) <= within
        self.rows.append(Row(name, theirs, ours, f"within {within:g}", agree))

    def between(
        self, name: str, before: float, ours: float | None, after: float, *, within: float = 0
    ) -> None:
        """Add a counter that the engine was asked for before and after the dump."""
        agree = ours is not None and before - within <= ours <= after + within
        self.rows.append(Row(name, f"{before} … {after}", ours, f"between, {within:g}", agree))

    def time(
        self, name: str, theirs: str | None, ours: str | None, *, within: float = 2e-6
    ) -> None:
        """Add a time: engines write nanoseconds, the dump microseconds; or within so many seconds."""
        said, got = moment(theirs), moment(ours)
        agree = said is got is None
        if said is not None and got is not None:
            agree = abs((got - said).total_seconds()) <= within
        self.rows.append(Row(name, said, got, f"within {within:g} s", agree))

    def show(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Print it, whether or not what a test writes is captured."""
        with capsys.disabled():
            sys.stdout.write(f"\n{self.text()}\n")

    def text(self) -> str:
        """Return the table: field, the engine's word, ours, and the rule."""
        lines = [self.title]
        for row in self.rows:
            mark = " " if row.agree else "≠"
            lines.append(
                f"{mark} {row.name:24} {_cut(row.theirs):{_WIDTH}} {_cut(row.ours):{_WIDTH}} {row.rule}"
            )
        return "\n".join(lines)

    def differing(self) -> list[str]:
        """Return the names of the fields in which both do not agree."""
        return [row.name for row in self.rows if not row.agree]


def unnoticed(
    compare: Callable[[Dump], Table], frame: Dump, identifier: str, paths: Sequence[str]
) -> list[str]:
    """Return which values of a dump could be wrong without the comparison's telling.

    Each is made another, one at a time: a table whose rows all agree with a wrong dump compares
    nothing. A path is one within the container, as `resources.memory.limit_bytes`, or `/` and the
    name of a whole section, which is then emptied.
    """
    left: list[str] = []
    for path in paths:
        wrong = copy.deepcopy(frame)
        if path.startswith("/"):
            wrong[path[1:]] = []
        else:
            *above, last = path.split(".")
            place = find(wrong, identifier)
            for key in above:
                place = place[key]
            place[last] = _other(place[last])
        try:
            told = bool(compare(wrong).differing())
        except (KeyError, IndexError, TypeError, AttributeError, AssertionError, ValueError):
            told = True  # it is not even of the form that it should have
        if not told:
            left.append(path)
    return left


def find(frame: Dump, identifier: str) -> Any:
    """Return the one container of this id; fail if it is absent, or there twice."""
    found = [one for one in frame["containers"] if one["id"] == identifier]
    assert len(found) == 1, f"{identifier}: {len(found)} containers"
    return found[0]


def moment(said: str | None) -> datetime | None:
    """Return a time of RFC 3339 to the microsecond; None for what engines write for "never"."""
    if not said or said.startswith("0001-"):
        return None
    # Docker and Podman write nine digits, which are more than a datetime has.
    text = re.sub(r"(\.\d{6})\d+", r"\1", said)
    return datetime.fromisoformat(text).astimezone(UTC)


def _other(value: object) -> object:
    """Return a value of the same kind that is another one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1_000_000_007
    if isinstance(value, str):
        return f"{value}x" if not value[:4].isdecimal() else f"1999{value[4:]}"
    if isinstance(value, list):
        return [_other(one) for one in value] if value else ["x"]
    if isinstance(value, Mapping):
        return {key: _other(one) for key, one in value.items()} if value else {"x": "x"}
    return "x"


def _cut(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
