"""Device rules of a v2 cgroup as a BPF program, which this assembles, loads and attaches (bpf(2)).

v1 had a list of allowed devices in the kernel; the program here answers as that list would
(cgroup-v1/devices.rst, cgroup-v2.rst "Device controller").
"""

import contextlib
import ctypes
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from runtime.errors import InvalidArgument
from runtime.linux import syscalls

_PROG_LOAD: Final = 5
_PROG_ATTACH: Final = 8
_PROG_DETACH: Final = 9
_PROG_GET_FD_BY_ID: Final = 13
_OBJ_GET_INFO_BY_FD: Final = 15
_PROG_QUERY: Final = 16
_TYPE_CGROUP_DEVICE: Final = 15
_ATTACH_CGROUP_DEVICE: Final = 6
_ALLOW_MULTI: Final = 2
_NAME: Final = b"cinspect_device"
"""By which programs of this package are told from systemd's; BPF_OBJ_NAME_LEN is 16."""
_INFO_BYTES, _NAME_AT = 80, 64
"""How much of struct bpf_prog_info is asked for, and where the name is in it."""
_MOST_PROGRAMS: Final = 64
"""As many as a cgroup can have of one kind (kernel/bpf/cgroup.c)."""

_ACCESS: Final = {"m": 1, "r": 2, "w": 4}
_ALL_ACCESS: Final = 7
_TYPES: Final = {"b": 1, "c": 2, "a": 0}
_ANY: Final = -1


class Device(NamedTuple):
    """Devices of one kind: type 1 is block, 2 character; -1 is every number."""

    type: int
    major: int
    minor: int


class DeviceList:
    """What the v1 controller would keep: a default, and the exceptions to it."""

    __slots__ = ("allow_by_default", "exceptions")

    def __init__(self, rules: Sequence[Mapping[str, Any]]) -> None:
        self.allow_by_default = False
        self.exceptions: dict[Device, int] = {}
        for rule in rules:
            self._apply(rule)

    def _apply(self, rule: Mapping[str, Any]) -> None:
        allow = bool(rule["allow"])
        access = sum({_ACCESS[each] for each in rule.get("access") or "rwm"})
        kind = _TYPES[rule.get("type") or "a"]
        numbers = [rule.get(key) for key in ("major", "minor")]
        major, minor = (_ANY if each is None or each < 0 else int(each) for each in numbers)
        if kind == 0:
            if (major, minor) != (_ANY, _ANY):
                raise InvalidArgument("linux.resources.devices: type 'a' takes no numbers")
            self.allow_by_default = allow
            self.exceptions.clear()
            return
        device = Device(kind, major, minor)
        held = self.exceptions.get(device, 0)
        # An exception holds what differs from the default.
        held = held & ~access if allow == self.allow_by_default else held | access
        if held:
            self.exceptions[device] = held
        else:
            self.exceptions.pop(device, None)


def _instruction(opcode: int, *, registers: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, registers, offset, value)


def assemble(devices: DeviceList) -> bytes:
    """Return the program: r2 type, r3 access, r4 major, r5 minor; it returns 1 to allow."""
    # struct bpf_cgroup_dev_ctx { u32 access << 16 | type; u32 major; u32 minor; }
    code = [
        _instruction(0x61, registers=0x12, offset=0),  # r2 = ctx->access_type
        _instruction(0xBC, registers=0x23),  # w3 = w2
        _instruction(0x54, registers=0x02, value=0xFFFF),  # w2 &= 0xffff
        _instruction(0x74, registers=0x03, value=16),  # w3 >>= 16
        _instruction(0x61, registers=0x14, offset=4),  # r4 = ctx->major
        _instruction(0x61, registers=0x15, offset=8),  # r5 = ctx->minor
    ]
    for device, access in devices.exceptions.items():
        code.extend(_exception(device, access, allow=not devices.allow_by_default))
    code.extend(_return(devices.allow_by_default))
    return b"".join(code)


def _exception(device: Device, access: int, *, allow: bool) -> list[bytes]:
    body = _return(allow)
    tests: list[bytes] = []
    if access != _ALL_ACCESS:
        tests.append(_instruction(0xBC, registers=0x31))  # w1 = w3
        if allow:  # every access asked for must be one of these
            tests.append(_instruction(0x54, registers=0x01, value=_ALL_ACCESS & ~access))
            tests.append(_instruction(0x55, registers=0x01))  # if r1 != 0 goto next
        else:  # one of these is enough to refuse
            tests.append(_instruction(0x54, registers=0x01, value=access))
            tests.append(_instruction(0x15, registers=0x01))  # if r1 == 0 goto next
    for register, value in ((2, device.type), (4, device.major), (5, device.minor)):
        if value != _ANY:
            tests.append(_instruction(0x55, registers=register, value=value))
    length = len(tests) + len(body)
    for index, each in enumerate(tests):
        if each[0] in {0x55, 0x15}:  # a jump: over the rest of this exception
            opcode, registers, _, value = struct.unpack("=BBhi", each)
            tests[index] = _instruction(
                opcode, registers=registers, offset=length - index - 1, value=value
            )
    return tests + body


def _return(allow: bool) -> list[bytes]:  # noqa: FBT001 - the value is the function's whole subject
    return [_instruction(0xB7, value=int(allow)), _instruction(0x95)]


def attach_devices(directory: int, program: bytes) -> None:
    """Load a program and let it decide for a v2 cgroup, given as an open directory."""
    instructions = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "=IIQQIIQII16s",
        _TYPE_CGROUP_DEVICE,
        len(program) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(licence),
        *(0, 0, 0, 0, 0),  # no log of the verifier
        _NAME,
    )
    loaded = syscalls.call("bpf", _PROG_LOAD, attributes, len(attributes))
    try:
        request = struct.pack("=IIII", directory, loaded, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI)
        syscalls.call("bpf", _PROG_ATTACH, request, len(request))
    finally:
        os.close(loaded)


def replace_devices(directory: int, program: bytes) -> None:
    """Let a program decide for a v2 cgroup in place of those that `attach_devices` gave it.

    All that are there must allow a device: in between, what both allow can be used.
    """
    before = attached_devices(directory)
    attach_devices(directory, program)
    for number in before:
        with contextlib.suppress(FileNotFoundError):  # somebody else detached it meanwhile
            _detach(directory, number)


def _detach(directory: int, number: int) -> None:
    """Detach a program of ours by its number."""
    request = struct.pack("=III", number, 0, 0)
    held = syscalls.call("bpf", _PROG_GET_FD_BY_ID, request, len(request))
    try:
        if _name(held) == _NAME:
            request = struct.pack("=IIII", directory, held, _ATTACH_CGROUP_DEVICE, 0)
            syscalls.call("bpf", _PROG_DETACH, request, len(request))
    finally:
        os.close(held)


def attached_devices(directory: int) -> list[int]:
    """Return the numbers of the programs that decide for a v2 cgroup, its ancestors' left out."""
    numbers = (ctypes.c_uint32 * _MOST_PROGRAMS)()
    # target, type, flags, the flags of what is attached, where to, how many
    form = "=IIIIQIxxxx"
    place = ctypes.addressof(numbers)
    packed = struct.pack(form, directory, _ATTACH_CGROUP_DEVICE, 0, 0, place, _MOST_PROGRAMS)
    request = ctypes.create_string_buffer(packed, len(packed))
    syscalls.call("bpf", _PROG_QUERY, request, len(request))
    return list(numbers[: struct.unpack(form, request.raw)[5]])


def _name(program: int) -> bytes:
    """Return the name that a program, an open descriptor, was loaded with."""
    about = ctypes.create_string_buffer(_INFO_BYTES)
    request = struct.pack("=IIQ", program, len(about), ctypes.addressof(about))
    syscalls.call("bpf", _OBJ_GET_INFO_BY_FD, request, len(request))
    return about.raw[_NAME_AT:].rstrip(b"\0")
