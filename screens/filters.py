"""What is typed after `/`: words, `key=value`, `key>number`, `/regex/`; anything at all may be typed."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from inspector.columns import Column, Value

T = TypeVar("T")

_COMPARISON: Final = re.compile(r"^!?([\w./-]+)(!=|>=|<=|=~|[=<>])(.*)$", re.DOTALL)
_SIZE: Final = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgtKMGT]?)(?:i?[bB])?$|^(\d+(?:\.\d+)?)\s*%$")
_SCALE: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}

Test = Callable[[T], bool]


@dataclass(frozen=True, slots=True)
class Filter(Generic[T]):
    """A predicate, and what is wrong with the text it was made from, if anything is."""

    accepts: Test[T]
    problem: str = ""


def parse(
    text: str,
    columns: Sequence[Column[T]],
    labels: Callable[[T], Mapping[str, str]] | None = None,
) -> Filter[T]:
    """Return the filter; every word must hold. A regex that is not one is searched for as it stands."""
    tests: list[Test[T]] = []
    problem = ""
    for word in _words(text):
        test, wrong = _test(word, columns, labels)
        tests.append(test)
        problem = problem or wrong
    return Filter(lambda item: all(test(item) for test in tests), problem)


def _words(text: str) -> list[str]:
    """Split at spaces, but not inside quotes or a /regex with spaces/."""
    stripped = text.strip()
    if len(stripped) > 2 and stripped.startswith("/") and stripped.endswith("/"):
        return [stripped]
    found = re.findall(r'[^\s"]*"[^"]*"|\S+', stripped)
    return [word.replace('"', "") if word.count('"') == 2 else word for word in found]


def _test(
    word: str,
    columns: Sequence[Column[T]],
    labels: Callable[[T], Mapping[str, str]] | None,
) -> tuple[Test[T], str]:
    if len(word) > 2 and word.startswith("/") and word.endswith("/"):
        return _regex(word[1:-1], columns)
    matched = _COMPARISON.match(word)
    if matched:
        key, operator, wanted = matched.groups()
        column = _column(key, columns)
        if column is not None:
            return _compare(column.value, operator, wanted), ""
        if labels is not None:
            return _compare(lambda item: labels(item).get(key), operator, wanted), ""
    if word.startswith("!") and len(word) > 1:
        inner, wrong = _test(word[1:], columns, labels)
        return (lambda item: not inner(item)), wrong
    needle = word.casefold()
    return (lambda item: any(needle in text for text in _texts(item, columns))), ""


def _regex(pattern: str, columns: Sequence[Column[T]]) -> tuple[Test[T], str]:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as problem:
        needle = pattern.casefold()
        return (
            lambda item: any(needle in text for text in _texts(item, columns)),
            f"not a regular expression: {problem}",
        )
    return (lambda item: any(compiled.search(text) for text in _texts(item, columns))), ""


def _column(key: str, columns: Sequence[Column[T]]) -> Column[T] | None:
    """Return the column of that id, or of that last part of an id, or of that title."""
    lowered = key.casefold()
    for column in columns:
        if column.id == lowered or column.title.casefold() == lowered:
            return column
    for column in columns:
        if lowered in column.id.split("."):
            return column
    return None


def _compare(get: Callable[[T], Value], operator: str, wanted: str) -> Test[T]:
    number = _number(wanted)

    def test(item: T) -> bool:
        value = get(item)
        if operator in {"=", "!="}:
            return _equal(value, wanted, number) is (operator == "=")
        if operator == "=~":
            return value is not None and wanted.casefold() in str(value).casefold()
        if not isinstance(value, int | float) or number is None:
            return False
        return {
            ">": value > number,
            "<": value < number,
            ">=": value >= number,
            "<=": value <= number,
        }[operator]

    return test


def _equal(value: Value, wanted: str, number: float | None) -> bool:
    if value is None:
        return wanted in {"", "none", "null", "–"}  # noqa: RUF001 - as the screens show it
    if isinstance(value, int | float):
        return number is not None and float(value) == number
    return value.casefold() == wanted.casefold()


def _number(text: str) -> float | None:
    matched = _SIZE.match(text.strip())
    if not matched:
        return None
    if matched[3] is not None:
        return float(matched[3]) / 100
    return float(matched[1]) * _SCALE[matched[2].lower()]


def _texts(item: T, columns: Sequence[Column[T]]) -> list[str]:
    values = (column.value(item) for column in columns if column.unit is None)
    return [str(value).casefold() for value in values if value is not None]
