"""Takes an overlay's directories out of its super options (overlayfs.rst; fs/overlayfs/params.c)."""

import re
from collections.abc import Iterable

from msgspec import Struct

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LAYER = re.compile(r"(?:\\.|[^:\\]|\\\Z)*", re.DOTALL)


class Directories(Struct, frozen=True):
    """An overlay's directories as its mount named them: relative ones are still relative."""

    lowerdirs: tuple[str, ...]
    """Uppermost first."""
    datadirs: tuple[str, ...]
    upperdir: str | None
    workdir: str | None
    others: tuple[str, ...]
    """The options that name no directory."""


def directories(super_options: Iterable[str]) -> Directories:
    r"""Return an overlay's directories.

    `lowerdir=` has them all, parted by `:`, where `\:` is a colon and what follows `::` is
    data-only; `lowerdir+=` and `datadir+=` have one each and no escapes.
    """
    lower: list[str] = []
    data: list[str] = []
    others: list[str] = []
    single: dict[str, str] = {}
    for option in super_options:
        key, _, value = option.partition("=")
        if key == "lowerdir":
            names, only_data = split(value)
            lower += names
            data += only_data
        elif key == "lowerdir+":
            lower.append(value)
        elif key == "datadir+":
            data.append(value)
        elif key in {"upperdir", "workdir"}:
            single[key] = value
        else:
            others.append(option)
    return Directories(
        tuple(lower), tuple(data), single.get("upperdir"), single.get("workdir"), tuple(others)
    )


def split(value: str) -> tuple[list[str], list[str]]:
    """Return the layers and the data-only layers of a `lowerdir=`, unescaped."""
    layers: list[str] = []
    data: list[str] = []
    into = layers
    position = 0
    while True:
        match = _LAYER.match(value, position)
        text = match[0] if match else ""
        if text:
            into.append(unescape(text))
        elif layers and position < len(value):
            into = data
        position += len(text) + 1
        if position > len(value):
            return layers, data


def unescape(text: str) -> str:
    r"""Return a path without its escapes: `\:` is `:`, `\\` is a backslash, `\,` is a comma."""
    return _ESCAPED.sub(r"\1", text)
