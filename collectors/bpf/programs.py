"""BPF programs by bpf(2): a few instructions put together here, loaded, and read from as a file."""

import contextlib
import errno
import os
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from collectors.bpf.btf import Btf

if TYPE_CHECKING:
    import ctypes

_SYS_BPF: Final = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
_PROG_LOAD, _LINK_CREATE, _ITER_CREATE = 5, 28, 33
_TRACING: Final = 26
_TRACE_ITER: Final = 28
_ATTRIBUTES: Final = 128
"""Bytes of the part of union bpf_attr that is used; the kernel takes the rest as zeros."""
_LICENSE: Final = b"Dual BSD/GPL\0"
"""Of the program's own few instructions: the kernel lends its helpers to such only."""
_LOADS: Final = {2: 0x69, 4: 0x61, 8: 0x79}
SEQ_WRITE: Final = 127
"""bpf_seq_write(seq, data, size): the helper's number."""


def instruction(
    opcode: int, *, to: int = 0, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    """Return one (bpf/instruction-set.rst): registers 0 to 10, a signed offset and value."""
    return struct.pack("=BBhi", opcode, source << 4 | to, offset, value)


def load(to: int, source: int, offset: int, size: int = 8) -> bytes:
    """Return `to = *(source + offset)` of 2, 4 or 8 bytes."""
    return instruction(_LOADS[size], to=to, source=source, offset=offset)


def store(to: int, offset: int, source: int, size: int = 8) -> bytes:
    """Return `*(to + offset) = source`."""
    return instruction(0x7B if size == 8 else 0x63, to=to, source=source, offset=offset)


class Field(NamedTuple):
    """A number of a record, and the members that lead to it: each in the structure that it names."""

    size: int
    path: tuple[tuple[str, str], ...]


def field(size: int, *path: str) -> Field:
    """Return a number of so many bytes, and the way to it: `structure.member`, one after the other."""
    steps = (step.partition(".") for step in path)
    return Field(size, tuple((structure, member) for structure, _, member in steps))


def copying(types: Btf, fields: Sequence[Field], *, leaders: bool = False) -> bytes:
    """Return the program: copy each field to the stack, then write the record to the file.

    Of `leaders` only: of the first thread of each process. `struct bpf_iter__task` has the iterator's `meta` first, whose first member is the file, then the
    task, which is null after the last one. A null on the way reads as 0.
    """
    return b"".join(_instructions(types, fields, leaders=leaders))


def _instructions(types: Btf, fields: Sequence[Field], *, leaders: bool) -> Iterator[bytes]:
    body: list[bytes] = []
    size = sum(one.size for one in fields)
    places = [place - size for place in accumulate((one.size for one in fields), initial=0)]
    held: tuple[str, str] | None = None
    # A pointer that is loaded from the task costs the verifier several searches through all types:
    # each is loaded once, into r8, for all that begin with it.
    for one, place in sorted(zip(fields, places, strict=False), key=lambda each: each[0].path[0]):
        first, *steps = one.path
        pointer = steps or (one.size == 8 and _is_followed(first, fields))
        if pointer and first != held:
            held = first
            body.append(load(8, 7, types.offset(*first)))
        if pointer and not steps:
            body.append(store(10, place, 8))
            continue
        source = 8 if steps else 7
        for step in steps[:-1]:
            body.append(load(9, source, types.offset(*step)))
            source = 9
        last = one.path[-1]
        wide = 8 if one.size == 8 and last != ("task_struct", "tgid") else 4
        body.append(load(1, source, types.offset(*last), wide))
        body.append(store(10, place, 1, one.size))
    body += written(size)
    if leaders:
        body[:0] = [
            load(1, 7, types.offset("task_struct", "pid"), 4),
            load(2, 7, types.offset("task_struct", "tgid"), 4),
            instruction(0x5D, to=1, source=2, offset=len(body)),  # if another, leave
        ]
    yield instruction(0xBF, to=6, source=1)  # r6 = ctx
    yield load(7, 6, 8)  # r7 = ctx->task
    yield instruction(0x15, to=7, offset=len(body))  # if it is null, leave
    yield from body
    yield instruction(0xB7, to=0)  # r0 = 0: go on
    yield instruction(0x95)  # exit


def _is_followed(member: tuple[str, str], fields: Sequence[Field]) -> bool:
    """Return whether a member is a pointer that leads to another field."""
    return any(one.path[0] == member and len(one.path) > 1 for one in fields)


def written(size: int) -> list[bytes]:
    """Return what writes so many bytes at the end of the stack to the file."""
    return [
        load(1, 6, 0),  # r1 = ctx->meta
        load(1, 1, 0),  # r1 = meta->seq
        instruction(0xBF, to=2, source=10),  # r2 = the stack's end
        instruction(0x07, to=2, value=-size),  # r2 -= size
        instruction(0xB7, to=3, value=size),  # r3 = size
        instruction(0x85, value=SEQ_WRITE),
    ]


def iterate(code: bytes, function: int, name: bytes) -> int:
    """Load a program, attach it to an iterator, and return a descriptor of that: a link.

    `function` is the BTF id of the iterator's function, as `bpf_iter_task`. The caller closes it.
    Raise OSError.
    """
    program = _load(code, function, name)
    try:
        link = _bpf(_LINK_CREATE, struct.pack("=IIII", program, 0, _TRACE_ITER, 0))
    finally:
        os.close(program)
    return link


def read(link: int) -> bytes:
    """Run an iterator's program over everything once and return all that it wrote; raise OSError."""
    fd = _bpf(_ITER_CREATE, struct.pack("=II", link, 0))
    try:
        parts: list[bytes] = []
        part = b"begun"
        while part:
            with contextlib.suppress(BlockingIOError):  # it ran for long, and is to be asked again
                part = os.read(fd, 1 << 16)
                parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def _load(code: bytes, function: int, name: bytes) -> int:
    import ctypes  # noqa: PLC0415 - only where there is something to load

    instructions = ctypes.create_string_buffer(code, len(code))
    license_ = ctypes.create_string_buffer(_LICENSE)
    attributes = bytearray(_ATTRIBUTES)
    struct.pack_into("=II", attributes, 0, _TRACING, len(code) // 8)
    struct.pack_into(
        "=QQ", attributes, 8, ctypes.addressof(instructions), ctypes.addressof(license_)
    )
    attributes[48 : 48 + len(name)] = name
    struct.pack_into("=I", attributes, 68, _TRACE_ITER)
    struct.pack_into("=I", attributes, 108, function)
    return _bpf(_PROG_LOAD, bytes(attributes))


def _bpf(command: int, attributes: bytes) -> int:
    import ctypes  # noqa: PLC0415 - as above

    number = _SYS_BPF.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "bpf: its number on this architecture is not known")
    given = ctypes.create_string_buffer(attributes, len(attributes))
    fd: int = _libc().syscall(number, command, given, len(attributes))
    if fd < 0:
        failed = ctypes.get_errno()
        raise OSError(failed, f"bpf: {os.strerror(failed)}")
    return fd


@cache
def _libc() -> "ctypes.CDLL":
    import ctypes  # noqa: PLC0415 - as above

    return ctypes.CDLL(None, use_errno=True)
