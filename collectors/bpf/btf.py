"""The kernel's types as it tells them itself: where a member is in a structure (btf.rst)."""

import struct
from array import array
from collections.abc import Iterable, Iterator
from typing import Final

from runtime.errors import FormatError

_MAGIC: Final = 0xEB9F
_HEADER: Final = struct.Struct("=HBBIIIII")
_POINTER, _ARRAY, _STRUCT, _UNION, _FUNC = 2, 3, 4, 5, 12
_TRANSPARENT: Final = frozenset({8, 9, 10, 11, 18})
"""typedef, volatile, const, restrict, type_tag: the type behind them is the one that is meant."""
_FIXED: Final = {1: 1, 3: 3, 14: 1, 17: 1}
"""Words that follow a type of a kind: int, array, var, decl_tag."""
_EACH: Final = {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}
"""Words that follow for each of its members: struct, union, enum, func_proto, datasec, enum64."""
_DEPTH: Final = 16
"""So many nameless structures, or arrays, within each other are looked into."""


class _Lengths(dict[int, int]):
    """How many words a type takes, by its second one: its kind, and how many members it has."""

    def __missing__(self, info: int) -> int:
        kind = info >> 24 & 31
        length = 3 + _FIXED.get(kind, 0) + _EACH.get(kind, 0) * (info & 0xFFFF)
        self[info] = length
        return length


class Btf:
    """Looks types up in the bytes of /sys/kernel/btf/vmlinux."""

    def __init__(self, data: bytes, names: Iterable[str]) -> None:
        """Find the types of these names; raise FormatError for what is no BTF."""
        if len(data) < _HEADER.size:
            raise FormatError("BTF is cut short")
        magic, version, _, header, types, size, strings, length = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != 1 or size % 4:
            raise FormatError("not BTF of this machine's byte order, version 1")
        if header + max(types + size, strings + length) > len(data):
            raise FormatError("BTF is cut short")
        self._words = array("I", data[header + types : header + types + size])
        self._strings = data[header + strings :]
        self._named: dict[int, list[int]] = {}
        """By a wanted name's place among the strings, where each is once: the types that have it."""
        for name in names:
            self._named[self._place(name)] = []
        self._at = self._index()

    def function(self, name: str) -> int:
        """Return the id of a function; raise FormatError where there is none."""
        return self._find(name, _FUNC)

    def offset(self, structure: str, path: str) -> int:
        """Return where a member is, in bytes, as `se.sum_exec_runtime` of `task_struct`.

        A number in the path is an index of an array, one without an end included. Raise FormatError where there is none.
        """
        place = self._find(structure, _STRUCT)
        total = 0
        for part in path.split("."):
            if part.isdigit():
                element, count = self._element(place, path)
                if count and int(part) >= count:
                    raise FormatError(f"{structure} has no {path}")
                total += int(part) * self._size(element)
                place = element
                continue
            found = self._member(place, part)
            if found is None:
                raise FormatError(f"{structure} has no {path}")
            total, place = total + found[0], found[1]
        return total

    def _index(self) -> list[int]:
        """Return where each type is, by its id, and note those of the wanted names."""
        words, named, at, index = self._words, self._named, 0, [0]
        lengths, append = _Lengths(), index.append
        try:
            while True:
                name, info = words[at], words[at + 1]
                if name in named:
                    named[name].append(len(index))
                append(at)
                at += lengths[info]
        except IndexError:
            if at != len(words):
                raise FormatError("BTF is cut short") from None
        return index

    def _kind(self, at: int) -> int:
        return self._words[at + 1] >> 24 & 31

    def _is(self, at: int, name: str) -> bool:
        begin = self._words[at]
        encoded = name.encode() + b"\0"
        return self._strings[begin : begin + len(encoded)] == encoded

    def _place(self, name: str) -> int:
        """Return where a name is among the strings; -1 where it is not."""
        found = self._strings.find(b"\0" + name.encode() + b"\0")
        return found + 1 if found >= 0 else -1

    def _find(self, name: str, kind: int) -> int:
        for number in self._named.get(self._place(name), ()):
            if self._kind(self._at[number]) == kind:
                return number
        raise FormatError(f"the kernel has no {name}")

    def _many(self, at: int) -> int:
        return self._words[at + 1] & 0xFFFF

    def _resolved(self, number: int) -> int:
        for _ in range(32):
            if not 0 < number < len(self._at):
                break
            at = self._at[number]
            if self._kind(at) not in _TRANSPARENT:
                return at
            number = self._words[at + 2]
        raise FormatError("a type of BTF leads nowhere")

    def _member(self, number: int, name: str, depth: int = 0) -> tuple[int, int] | None:
        """Return a member's offset and type; those of nameless members are looked through too."""
        at = self._resolved(number)
        if self._kind(at) not in {_STRUCT, _UNION} or depth == _DEPTH:
            return None
        for member, kind, offset in self._members(at):
            if self._is(member, name):
                return offset, kind
            if not self._words[member]:
                found = self._member(kind, name, depth + 1)
                if found is not None:
                    return offset + found[0], found[1]
        return None

    def _members(self, at: int) -> Iterator[tuple[int, int, int]]:
        flagged = self._words[at + 1] >> 31
        for place in range(at + 3, at + 3 + 3 * self._many(at), 3):
            bits = self._words[place + 2] & 0xFFFFFF if flagged else self._words[place + 2]
            yield place, self._words[place + 1], bits // 8

    def _element(self, number: int, path: str) -> tuple[int, int]:
        at = self._resolved(number)
        if self._kind(at) != _ARRAY:
            raise FormatError(f"no array in {path}")
        return self._words[at + 3], self._words[at + 5]

    def _size(self, number: int, depth: int = 0) -> int:
        at = self._resolved(number)
        if self._kind(at) == _POINTER:
            return 8
        if self._kind(at) == _ARRAY and depth < _DEPTH:
            element, count = self._element(number, "")
            return count * self._size(element, depth + 1)
        return self._words[at + 2]
