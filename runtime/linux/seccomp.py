"""Compile the `linux.seccomp` of an OCI spec into BPF with libseccomp, and keep the bytes.

Compiling takes 25 ms, loading 0.4 ms: so programs are kept on disk by what they were made from, and
the container's init only loads bytes.
"""

import ctypes
import json
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.errors import InvalidArgument, Unavailable
from runtime.formats.spec import entries

_SONAME: Final = "libseccomp.so.2"
_FILTER_ATTRIBUTES: Final = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
_CTL_OPTIMIZE: Final = 8
_CTL_NNP: Final = 3
_NOTIFY: Final = 0x7FC00000
_OWN_CALLS: Final = frozenset({"read", "write", "close"})
"""What hands the listener over: it cannot wait for the listener itself."""
_ACTIONS: Final = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_NOTIFY": _NOTIFY,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_OPERATORS: Final = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_ARCHITECTURES: Final = (
    *("AARCH64", "ARM", "LOONGARCH64", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64"),
    *("MIPSEL64N32", "PARISC", "PARISC64", "PPC", "PPC64", "PPC64LE", "RISCV64", "S390", "S390X"),
    *("X32", "X86", "X86_64"),
)
_X32: Final = 0x4000003E
_X32_BIT: Final = 0x40000000
_EPERM: Final = 1
_EEXIST: Final = 17
_ENOSYS: Final = 38
_FORM: Final = b"2"
"""Part of what programs are kept by: to be changed whenever the same profile compiles to others."""


_memory: dict[int, tuple[Mapping[str, Any], bytes]] = {}
"""By the identity of the profile, which is held so that the identity stays its own."""


def program(profile: Mapping[str, Any], *, cache: str | None = None) -> bytes:
    """Return the BPF program of a profile: from memory, from the directory `cache`, or compiled.

    Raises `Unavailable` without libseccomp, `InvalidArgument` for a profile that it refuses.
    """
    if id(profile) in _memory:
        return _memory[id(profile)][1]
    text = json.dumps(profile, sort_keys=True).encode()
    text = b"\0".join((_FORM, os.uname().machine.encode(), text))
    # hashlib would load OpenSSL: 3 ms and 3 MB in every shim.
    from _blake2 import blake2b  # noqa: PLC0415 - not every container has a profile

    key = blake2b(text, digest_size=32).hexdigest()
    found = _read(f"{cache}/{key}.bpf") if cache else None
    if found is None:
        found = compile_profile(profile)
        if cache:
            _write(cache, f"{key}.bpf", found)
    _memory.clear()  # a shim has one container, or a few alike
    _memory[id(profile)] = (profile, found)
    return found


def flags(profile: Mapping[str, Any]) -> int:
    """Return the profile's flags as seccomp(2) takes them."""
    result = 0
    for name in entries(profile, "flags"):
        if name not in _FILTER_ATTRIBUTES:
            raise InvalidArgument(f"linux.seccomp.flags: {name!r} is not supported")
        result |= _FILTER_ATTRIBUTES[name]
    return result


def known() -> dict[str, list[str]]:
    """Return the names that a profile may use, as `features` lists them."""
    return {
        "actions": sorted(_ACTIONS),
        "operators": sorted(_OPERATORS),
        "archs": sorted(f"SCMP_ARCH_{name}" for name in _ARCHITECTURES),
        "knownFlags": sorted(_FILTER_ATTRIBUTES),
        "supportedFlags": sorted(_FILTER_ATTRIBUTES),
    }


def listens(profile: Mapping[str, Any]) -> bool:
    """Tell whether an agent is asked about system calls; raises for those that cannot be."""
    asked = [
        rule for rule in entries(profile, "syscalls") if rule.get("action") == "SCMP_ACT_NOTIFY"
    ]
    if profile.get("defaultAction") == "SCMP_ACT_NOTIFY":
        raise InvalidArgument("linux.seccomp.defaultAction: cannot be SCMP_ACT_NOTIFY")
    for rule in asked:
        if own := _OWN_CALLS & set(rule["names"]):
            raise InvalidArgument(f"linux.seccomp: {min(own)!r} cannot be SCMP_ACT_NOTIFY")
    return bool(asked)


def compile_profile(profile: Mapping[str, Any]) -> bytes:
    """Return the program that libseccomp makes of a profile, `struct sock_filter`s in a row."""
    listens(profile)
    library = _library()
    default = _action(profile.get("defaultAction"), profile.get("defaultErrnoRet"))
    context = library.seccomp_init(default)
    if not context:
        raise InvalidArgument(f"linux.seccomp.defaultAction: {profile.get('defaultAction')!r}")
    try:
        library.seccomp_attr_set(context, _CTL_NNP, 0)
        library.seccomp_attr_set(
            context, _CTL_OPTIMIZE, 2
        )  # 2: a binary tree, loads 4 times faster
        for name in entries(profile, "architectures"):
            _add_architecture(library, context, name)
        for rule in entries(profile, "syscalls"):
            _add_rule(library, context, rule, default=default)
        return _unknown_calls(library, profile, default=default) + _export(library, context)
    finally:
        library.seccomp_release(context)
        _give_back_memory()


def _give_back_memory() -> None:
    """Return to the kernel what libseccomp took and freed: a megabyte that a shim would keep."""
    libc = ctypes.PyDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc's (malloc_trim(3))
        libc.malloc_trim(0)


def _library() -> ctypes.PyDLL:
    try:
        library = ctypes.PyDLL(_SONAME)
    except OSError as error:
        raise Unavailable(f"seccomp needs {_SONAME}, which cannot be loaded: {error}") from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_arch_native.restype = ctypes.c_uint32
    library.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_char_p,
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library


def _action(name: object, errno: object) -> int:
    if not isinstance(name, str) or name not in _ACTIONS:
        raise InvalidArgument(f"linux.seccomp: the action {name!r} is not supported")
    value = _ACTIONS[name]
    if name in {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}:
        value |= _EPERM if errno is None else int(str(errno)) & 0xFFFF
    return value


def _unknown_calls(library: ctypes.PyDLL, profile: Mapping[str, Any], *, default: int) -> bytes:
    """Return instructions that answer ENOSYS to calls newer than any that the profile names.

    C libraries try a new call first and fall back on that answer, but not on EPERM. What follows
    them is the program proper: so they end by falling through. They read `struct seccomp_data`: nr
    at 0, arch at 4 (seccomp(2)).
    """
    allowing = {_ACTIONS["SCMP_ACT_ALLOW"], _ACTIONS["SCMP_ACT_LOG"]}
    if default in {*allowing, _ACTIONS["SCMP_ACT_ERRNO"] | _ENOSYS}:
        return b""
    names = [name.encode() for rule in entries(profile, "syscalls") for name in rule["names"]]
    tokens = {_architecture(library, name) for name in entries(profile, "architectures")}
    tokens = {library.seccomp_arch_native(), *tokens} - {_X32}  # of x86_64, by a bit of the number
    program = b""
    for token in sorted(tokens):
        numbers = [library.seccomp_syscall_resolve_name_arch(token, name) for name in names]
        newest = max(numbers, default=-1)
        if newest < 0:
            continue
        for code, yes, no, value in (
            (0x20, 0, 0, 4),  # load arch
            (0x15, 0, 4, token),  # another: to the next one
            (0x20, 0, 0, 0),  # load nr
            (0x35, 2, 0, _X32_BIT),  # at or above: x32
            (0x25, 0, 1, newest),  # above: unknown
            (0x06, 0, 0, _ACTIONS["SCMP_ACT_ERRNO"] | _ENOSYS),
        ):
            program += struct.pack("@HBBI", code, yes, no, value)
    return program


def _architecture(library: ctypes.PyDLL, name: str) -> int:
    token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
    if not token:
        raise InvalidArgument(f"linux.seccomp.architectures: {name!r} is unknown")
    return int(token)


def _add_architecture(library: ctypes.PyDLL, context: int, name: str) -> None:
    token = _architecture(library, name)
    result = library.seccomp_arch_add(context, token)
    if result not in {0, -_EEXIST}:
        raise InvalidArgument(f"linux.seccomp.architectures: {name}: {os.strerror(-result)}")


def _add_rule(
    library: ctypes.PyDLL, context: int, rule: Mapping[str, Any], *, default: int
) -> None:
    action = _action(rule.get("action"), rule.get("errnoRet"))
    if action == default:
        return  # libseccomp refuses a rule that changes nothing
    groups = _argument_groups(entries(rule, "args"))
    for name in rule["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            continue  # newer than this libseccomp: the default action stands
        for group in groups:
            array = b"".join(group)
            result = library.seccomp_rule_add_array(context, action, number, len(group), array)
            if result not in {0, -_EEXIST}:
                raise InvalidArgument(f"linux.seccomp: {name}: {os.strerror(-result)}")


def _argument_groups(conditions: Sequence[Mapping[str, Any]]) -> list[list[bytes]]:
    """Return the conditions that must hold at once, in alternatives, as `struct scmp_arg_cmp`s.

    Two conditions on one argument cannot be in one rule of libseccomp, so each is then a rule of
    its own, as the other runtimes have it.
    """
    made: list[bytes] = []
    for each in conditions:
        if each.get("op") not in _OPERATORS:
            raise InvalidArgument(f"linux.seccomp: the operator {each.get('op')!r} is unknown")
        values = (int(each["value"]), int(each.get("valueTwo") or 0))
        made.append(struct.pack("@IiQQ", int(each["index"]), _OPERATORS[each["op"]], *values))
    indexes = [each["index"] for each in conditions]
    return [made] if len(set(indexes)) == len(indexes) else [[each] for each in made]


def _export(library: ctypes.PyDLL, context: int) -> bytes:
    descriptor = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        result = library.seccomp_export_bpf(context, descriptor)
        if result < 0:
            raise InvalidArgument(f"linux.seccomp: {os.strerror(-result)}")
        return os.pread(descriptor, 1 << 20, 0)
    finally:
        os.close(descriptor)


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        data = os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)
    return data if data and len(data) % 8 == 0 else None


def _write(directory: str, name: str, data: bytes) -> None:
    os.makedirs(directory, mode=0o700, exist_ok=True)
    temporary = f"{directory}/.{name}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
    os.replace(temporary, f"{directory}/{name}")
