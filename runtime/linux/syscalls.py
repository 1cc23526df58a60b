"""One function a system call that Python lacks; each raises OSError that carries the call's name.

`PyDLL` keeps the interpreter's lock during a call: with it released, a child made by clone3 would
wait for a lock whose holder does not exist on its side.
"""

import contextlib
import ctypes
import os
import struct
from collections.abc import Generator
from typing import Final, NamedTuple

from runtime.linux import constants

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
for _name in (
    *("capget", "capset", "fstatfs", "personality", "prlimit", "sethostname", "setdomainname"),
    *("setns", "unshare"),
):
    getattr(_libc, _name)  # looked up here once, not by each child for itself

_GENERIC: Final = {
    "ioprio_set": 30,
    "pivot_root": 41,
    "rt_sigaction": 134,
    "keyctl": 219,
    "set_mempolicy": 237,
    "sched_setattr": 274,
    "seccomp": 277,
    "bpf": 280,
}
_X86_64: Final = {
    "rt_sigaction": 13,
    "pivot_root": 155,
    "set_mempolicy": 238,
    "keyctl": 250,
    "ioprio_set": 251,
    "sched_setattr": 314,
    "seccomp": 317,
    "bpf": 321,
}
_COMMON: Final = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}
_NUMBERS: Final = _COMMON | (_X86_64 if os.uname().machine == "x86_64" else _GENERIC)


def failure(name: str) -> OSError:
    """Return the error that the last call of `libc` left in errno."""
    errno = ctypes.get_errno()
    return OSError(errno, os.strerror(errno), name)


def call(name: str, *arguments: "int | bytes | ctypes.Array[ctypes.c_char] | None") -> int:
    """Make a system call that the C library has no function for; return what it returned."""
    result = int(
        _libc.syscall(
            ctypes.c_long(_NUMBERS[name]),
            *[ctypes.c_long(each) if isinstance(each, int) else each for each in arguments],
        )
    )
    if result < 0:
        raise failure(name)
    return result


def default_action(number: int) -> None:
    """Give a signal its default action, glibc's own 32 and 33 too, which signal(2) refuses.

    All of the kernel's struct sigaction is zero then, whatever its order is here.
    """
    call("rt_sigaction", number, bytes(32), None, 8)


class Cloned(NamedTuple):
    """What clone3 returned: in the child `pid` is 0 and `pidfd` is -1."""

    pid: int
    pidfd: int


def clone3(flags: int, *, exit_signal: int, cgroup: int | None = None) -> Cloned:
    """Fork with new namespaces; `cgroup` is the directory of the v2 cgroup to be born in.

    Only for a process without threads, whose child then executes or exits (clone3(2)).
    """
    pidfd = ctypes.c_int(-1)
    flags |= constants.CLONE_PIDFD | (constants.CLONE_INTO_CGROUP if cgroup is not None else 0)
    # flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size cgroup
    packed = struct.pack(
        "=11Q", flags, ctypes.addressof(pidfd), 0, 0, exit_signal, 0, 0, 0, 0, 0, cgroup or 0
    )
    pid = call("clone3", ctypes.create_string_buffer(packed, len(packed)), len(packed))
    return Cloned(pid, pidfd.value if pid else -1)


def go_over(flags: int, *, cgroup: int | None = None) -> int:
    """Go on as a new process, with all of this one's memory; return its pid as this one sees it.

    It is a child of the parent. What this process was sleeps in the call, as with vfork(2), and must
    never come back: its stack is in use. So the parent stops or kills it, before the new one executes.
    """
    pid = ctypes.c_int(0)
    flags |= constants.CLONE_VM | constants.CLONE_VFORK
    flags |= constants.CLONE_PARENT | constants.CLONE_PARENT_SETTID
    flags |= constants.CLONE_INTO_CGROUP if cgroup is not None else 0
    packed = struct.pack("=11Q", flags, 0, 0, ctypes.addressof(pid), 0, 0, 0, 0, 0, 0, cgroup or 0)
    call("clone3", ctypes.create_string_buffer(packed, len(packed)), len(packed))
    return pid.value


def populate() -> None:
    """Make every page that this process may write to its own now, as far as the kernel can (5.14)."""
    descriptor = os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        lines = file.read().splitlines()
    for line in lines:
        span, mode = line.split(None, 2)[:2]
        if mode.startswith(b"rw"):
            start, end = (int(each, 16) for each in span.split(b"-"))
            pages = ctypes.c_void_p(start), ctypes.c_size_t(end - start)
            _libc.madvise(*pages, constants.MADV_POPULATE_WRITE)


@contextlib.contextmanager
def unreadable() -> Generator[None]:
    """Let nobody look into this process, and so into those that it clones (CVE-2016-9962)."""
    readable = prctl(constants.PR_GET_DUMPABLE)
    prctl(constants.PR_SET_DUMPABLE, 0)
    try:
        yield
    finally:
        prctl(constants.PR_SET_DUMPABLE, 1 if readable == 1 else 0)


def unshare(flags: int) -> None:
    """Move the calling process into new namespaces (unshare(2))."""
    if _libc.unshare(flags) < 0:
        raise failure("unshare")


def setns(descriptor: int, flags: int) -> None:
    """Enter the namespace of a file, or with a pidfd several of a process (setns(2))."""
    if _libc.setns(descriptor, flags) < 0:
        raise failure("setns")


def openat2(directory: int, path: str, flags: int, *, resolve: int, mode: int = 0) -> int:
    """Open with limits on how the path resolves; the descriptor closes on exec (openat2(2))."""
    packed = struct.pack("=3Q", flags | os.O_CLOEXEC, mode, resolve)
    return call("openat2", directory, os.fsencode(path), packed, len(packed))


def close_range(first: int, last: int) -> None:
    """Close every descriptor from first to last inclusive (close_range(2))."""
    call("close_range", first, last, 0)


def drop_bounding(keep: int) -> None:
    """Drop the capabilities that `keep` lacks from the bounding set, up to the last there is.

    Ends at the first that the kernel does not know (EINVAL) or does not let go, with an OSError.
    """
    drop = _libc.prctl
    for number in range(64):
        if not keep >> number & 1 and drop(constants.PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
            raise failure("prctl")


def prctl(option: int, *arguments: int) -> int:
    """Operate on the calling process (prctl(2))."""
    result = int(_libc.prctl(option, *arguments, *[0] * (4 - len(arguments))))
    if result < 0:
        raise failure("prctl")
    return result


def name_process(name: bytes) -> None:
    """Show another name in /proc/self/comm, of at most 15 bytes (prctl(2), PR_SET_NAME)."""
    buffer = ctypes.create_string_buffer(name, 16)
    prctl(constants.PR_SET_NAME, ctypes.addressof(buffer))


_CAPABILITY_VERSION_3: Final = 0x20080522


class CapabilitySets(NamedTuple):
    """Capability sets of a thread, a bit each."""

    effective: int
    permitted: int
    inheritable: int


def capget() -> CapabilitySets:
    """Return the calling thread's capability sets (capget(2))."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), 8)
    data = ctypes.create_string_buffer(24)
    if _libc.capget(header, data) < 0:
        raise failure("capget")
    low = struct.unpack("=6I", data.raw)
    return CapabilitySets(*[low[i] | low[i + 3] << 32 for i in range(3)])


def capset(sets: CapabilitySets) -> None:
    """Set the calling thread's capability sets (capset(2))."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    low = [each & 0xFFFFFFFF for each in sets]
    high = [each >> 32 for each in sets]
    if _libc.capset(header, struct.pack("=6I", *low, *high)) < 0:
        raise failure("capset")


def seccomp_filter(program: bytes, flags: int = 0) -> int:
    """Load a BPF program of `struct sock_filter`s as the thread's filter (seccomp(2)).

    Returns the listener's descriptor if the flags ask for one, otherwise 0.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    return call("seccomp", constants.SECCOMP_SET_MODE_FILTER, flags, header)


def pidfd_getfd(pidfd: int, descriptor: int) -> int:
    """Return a copy of another process's descriptor (pidfd_getfd(2))."""
    return call("pidfd_getfd", pidfd, descriptor, 0)


def personality(domain: int) -> None:
    """Set the execution domain (personality(2))."""
    if _libc.personality(ctypes.c_ulong(domain)) < 0:
        raise failure("personality")


def sethostname(name: str) -> None:
    """Set the UTS namespace's host name (sethostname(2))."""
    encoded = os.fsencode(name)
    if _libc.sethostname(encoded, ctypes.c_size_t(len(encoded))) < 0:
        raise failure("sethostname")


def setdomainname(name: str) -> None:
    """Set the UTS namespace's NIS domain name (setdomainname(2))."""
    encoded = os.fsencode(name)
    if _libc.setdomainname(encoded, ctypes.c_size_t(len(encoded))) < 0:
        raise failure("setdomainname")


def join_session_keyring(name: str) -> None:
    """Start a session keyring of that name (keyctl(2))."""
    call("keyctl", constants.KEYCTL_JOIN_SESSION_KEYRING, os.fsencode(name))


def prlimit(pid: int, resource: int, soft: int, hard: int) -> None:
    """Set a process's resource limit; 2**64-1 is unlimited (prlimit(2))."""
    if _libc.prlimit(pid, resource, struct.pack("=2Q", soft, hard), None) < 0:
        raise failure("prlimit")


def filesystem_magic(descriptor: int) -> int:
    """Return f_type of the filesystem that a descriptor is on (fstatfs(2))."""
    buffer = ctypes.create_string_buffer(256)
    if _libc.fstatfs(descriptor, buffer) < 0:
        raise failure("fstatfs")
    return int(struct.unpack_from("=q", buffer)[0])


def inotify(path: str, mask: int) -> int:
    """Return a non-blocking inotify descriptor that watches one path (inotify(7))."""
    descriptor = int(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
    if descriptor < 0:
        raise failure("inotify_init1")
    if _libc.inotify_add_watch(descriptor, os.fsencode(path), mask) < 0:
        error = failure("inotify_add_watch")
        os.close(descriptor)
        raise error
    return descriptor
