"""The kernel's types: where members are, and damaged bytes that are refused."""

import contextlib
import ctypes
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.bpf.btf import Btf
from runtime.errors import FormatError
from tests.requirements import lacking

INT, POINTER, ARRAY, STRUCT, UNION, TYPEDEF, FUNC = 1, 2, 3, 4, 5, 8, 12


class Made:
    """BTF that is put together here; types are numbered from 1."""

    def __init__(self) -> None:
        self.strings = b"\0"
        self.types = b""

    def name(self, name: str) -> int:
        if not name:
            return 0
        self.strings += name.encode() + b"\0"
        return len(self.strings) - len(name) - 1

    def add(self, kind: int, name: str, size: int, *words: int, many: int = 0) -> None:
        self.types += struct.pack("=III", self.name(name), kind << 24 | many, size)
        self.types += struct.pack(f"={len(words)}I", *words)

    def structure(self, kind: int, name: str, size: int, *members: tuple[str, int, int]) -> None:
        words = [each for text, type_, at in members for each in (self.name(text), type_, at * 8)]
        self.add(kind, name, size, *words, many=len(members))

    def data(self) -> bytes:
        size = len(self.types)
        return (
            struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, size, size, len(self.strings))
            + self.types
            + self.strings
        )


def made() -> bytes:
    kernel = Made()
    kernel.add(INT, "int", 4, 32)  # 1
    kernel.structure(STRUCT, "pair", 8, ("one", 1, 0), ("other", 1, 4))  # 2
    kernel.add(ARRAY, "", 0, 2, 1, 3)  # 3: three pairs
    kernel.add(TYPEDEF, "pairs", 3)  # 4
    kernel.structure(UNION, "", 24, ("listed", 4, 0), ("first", 2, 0))  # 5
    kernel.structure(STRUCT, "outer", 32, ("head", 1, 0), ("", 5, 8))  # 6
    kernel.add(FUNC, "bpf_iter_it", 1)  # 7
    return kernel.data()


def test_a_member_is_found_within_structures_arrays_and_nameless_unions():
    types = Btf(made(), ("outer", "bpf_iter_it"))
    assert types.offset("outer", "head") == 0
    assert types.offset("outer", "first.other") == 12
    assert types.offset("outer", "listed.2.other") == 8 + 2 * 8 + 4
    assert types.function("bpf_iter_it") == 7


@pytest.mark.parametrize("path", ["none", "listed.3.one", "head.deeper", "head.0"])
def test_what_is_not_there_is_said(path: str):
    types = Btf(made(), ("outer",))
    with pytest.raises(FormatError):
        types.offset("outer", path)


def test_a_name_of_another_kind_is_no_structure():
    types = Btf(made(), ("int", "outer"))
    with pytest.raises(FormatError):
        types.offset("int", "head")
    with pytest.raises(FormatError):
        types.function("outer")


@given(data=st.data())
def test_damaged_bytes_are_refused_and_nothing_else_happens(data: st.DataObject):
    whole = bytearray(made())
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(FormatError):
        types = Btf(cut, ("outer", "bpf_iter_it"))
        with contextlib.suppress(FormatError):
            types.offset("outer", "listed.2.other")
        types.function("bpf_iter_it")


def test_of_this_kernel_the_types_say_what_its_headers_do():
    file = Path("/sys/kernel/btf/vmlinux")
    if not file.exists():
        lacking("the kernel tells no types (CONFIG_DEBUG_INFO_BTF)")
    types = Btf(file.read_bytes(), ("siginfo", "timespec64", "bpf_iter_task"))

    class Timespec(ctypes.Structure):
        _fields_ = (("tv_sec", ctypes.c_int64), ("tv_nsec", ctypes.c_long))

    assert types.offset("timespec64", "tv_nsec") == Timespec.tv_nsec.offset
    assert types.function("bpf_iter_task") > 0
