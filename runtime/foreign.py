"""Acts through the kernel on containers that this engine did not make: freeze, signal, limits, exec.

Nothing is written outside a cgroup that is the container's alone: a sandbox often shares its
cgroup with the shell that started it, and freezing that would freeze the user's session.
"""

import os
import select
import signal as signals
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runtime.cgroups.freezer import FirstFreezer, Freezer, SecondFreezer
from runtime.cgroups.hierarchy import Hierarchy, discover
from runtime.cgroups.manager import Manager
from runtime.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from runtime.init import enter
from runtime.types import ExecOptions, Resources

_TELLING: Final = ("mnt", "pid", "user", "net", "uts", "ipc", "cgroup", "time")
"""Which namespace tells best who belongs to a container; pods share pid, so mnt comes first."""
_STOP_SECONDS: Final = 5.0
_PERIOD_USEC: Final = 100_000


@dataclass(frozen=True, slots=True)
class ForeignContainer:
    """What must be known of one: its first process, and where the kernel has put that."""

    name: str
    pid: int
    """As this process's /proc numbers it."""
    namespaces: Mapping[str, int | None]
    """Inodes by type: a process with the same pid and other namespaces is another one."""
    cgroups: Mapping[str, str]
    """Paths by controller; v2's key is empty."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One process in /proc."""

    parent: int
    state: str
    start_ticks: bytes
    namespace: int | None


def freeze(target: ForeignContainer) -> str:
    """Freeze it by its own freezer cgroup, or else stop each of its processes; return which.

    Raises `NotFound` when it is gone, and `DeadlineExceeded` when it does not stop.
    """
    members = _members(target)
    _refuse_self(target, members)
    found = _own_freezer(target, members)
    if found is not None:
        found[0].freeze()
        return f"cgroup {found[1]}"
    return _stop_each(target)


def thaw(target: ForeignContainer) -> str:
    """Undo `freeze`, however it was done; return how."""
    members = _members(target)
    found = _own_freezer(target, members)
    if found is not None and found[0].frozen():
        found[0].thaw()
        return f"cgroup {found[1]}"
    stopped = [pid for pid, seen in members.items() if seen.state in "tT"]
    if not stopped:
        raise FailedPrecondition(f"{target.name} is not frozen")
    for pid in stopped:
        _signal_member(pid, members[pid], signals.SIGCONT)
    return f"SIGCONT to {len(stopped)} processes"


def kill(target: ForeignContainer, signal: int) -> None:
    """Send a signal to its first process; raises `NotFound` when that is gone."""
    descriptor = _open_first(target)
    try:
        signals.pidfd_send_signal(descriptor, signal)
    except ProcessLookupError:
        raise _gone(target) from None
    except PermissionError:
        raise PermissionDenied(f"{target.name}: this user may not signal it") from None
    finally:
        os.close(descriptor)


def update(target: ForeignContainer, resources: Resources) -> None:
    """Change limits in its own cgroups; raises `FailedPrecondition` where it has none of its own."""
    members = _members(target)
    by_path: dict[str, dict[str, Any]] = {}
    for controller, settings in _linux_resources(resources).items():
        path = _path(target.cgroups, "cpuset" if "cpus" in settings else controller)
        key = "cpu" if controller == "cpuset" else controller
        by_path.setdefault(path, {}).setdefault(key, {}).update(settings)
    for path, wanted in by_path.items():
        manager = Manager(path) if path != "/" else None
        for controller in wanted:
            directory = None if manager is None else manager.directory(controller)
            if directory is None or not _exclusive(directory, members):
                raise FailedPrecondition(
                    f"{target.name} has no {controller} cgroup of its own ({path} is shared): "
                    "changing that would change others too"
                )
    for path, wanted in by_path.items():
        Manager(path).update(wanted)


def enter_argv(target: ForeignContainer, options: ExecOptions) -> tuple[str, ...]:
    """Return the host's command that runs another one among its namespaces, as confined as it is.

    It has the streams it is started with; a terminal (`options.tty`) must be nobody else's. All
    inheritable descriptors must be, for variables are in one: values are secrets at times.
    Raises `NotFound` when the container is gone.
    """
    descriptor = _open_first(target)
    try:
        ticks = _stat(target.pid)[19:20]
    finally:
        os.close(descriptor)
    if not ticks:
        raise _gone(target)
    words = [
        "--pid",
        str(target.pid),
        "--start-ticks",
        ticks[0].decode(),
        "--confine",
        "--own-environment",
    ]
    if options.tty:
        words.append("--terminal")
    if options.user is not None:
        words += ["--user", options.user]
    if options.workdir is not None:
        words += ["--cwd", options.workdir]
    if options.env:
        words += ["--env-fd", str(_in_memory("\0".join((*options.env, ""))))]
    return (sys.executable, "-I", "-S", enter.__file__, *words, "--", *options.command)


def _in_memory(text: str) -> int:
    """Return an inheritable descriptor of a file in memory that has this text, at its beginning."""
    descriptor = os.memfd_create("environment", 0)
    os.write(descriptor, os.fsencode(text))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def processes(target: ForeignContainer) -> tuple[int, ...]:
    """Return the pids of its processes now, sorted; raises `NotFound` when it is gone."""
    return tuple(sorted(_members(target)))


def _open_first(target: ForeignContainer) -> int:
    """Return a pidfd of the first process, which is then known to be the right one."""
    if not _own_proc():
        raise FailedPrecondition(
            f"{target.name}: /proc shows another pid namespace than this process's own: "
            f"pid {target.pid} may be another process here"
        )
    try:
        descriptor = os.pidfd_open(target.pid)
    except ProcessLookupError:
        raise _gone(target) from None
    except OSError as error:
        raise InvalidArgument(f"{target.name}: pid {target.pid}: {error.strerror}") from None
    try:
        _check_namespaces(target)
        _check_alive(target, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _own_proc() -> bool:
    """Tell whether /proc numbers processes as this process's pid namespace does."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except FileNotFoundError:
        return False


def _check_namespaces(target: ForeignContainer) -> None:
    for kind, expected in target.namespaces.items():
        # A first process may have changed these two for its children only; the link is its own.
        if expected is None or kind in {"pid_for_children", "time_for_children"}:
            continue
        found = _namespace(target.pid, kind)
        if found is not None and found != expected:
            raise _gone(target)


def _check_alive(target: ForeignContainer, descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if poll.poll(0):  # readable: it has ended, and /proc may have shown another one
        raise _gone(target)


def _members(target: ForeignContainer) -> dict[int, _Seen]:
    """Return its processes: those in the namespace that tells it, and their descendants."""
    os.close(_open_first(target))
    kind = next((k for k in _TELLING if _is_own(target, k)), None)
    if kind is None:
        raise FailedPrecondition(
            f"{target.name} has no namespace of its own: nothing tells who is in"
        )
    seen = _scan(kind)
    members = {
        pid: each
        for pid, each in seen.items()
        if pid == target.pid or each.namespace == target.namespaces[kind]
    }
    while more := {
        pid: each for pid, each in seen.items() if each.parent in members and pid not in members
    }:
        members.update(more)
    return members


def _is_own(target: ForeignContainer, kind: str) -> bool:
    inode = target.namespaces.get(kind)
    return inode is not None and inode != _namespace(os.getpid(), kind)


def _scan(kind: str) -> dict[int, _Seen]:
    found: dict[int, _Seen] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        pid = int(name)
        fields = _stat(pid)
        if fields:
            namespace = _namespace(pid, kind)
            found[pid] = _Seen(int(fields[1]), fields[0].decode(), fields[19], namespace)
    return found


def _stat(pid: int) -> list[bytes]:
    """Return proc(5)'s stat from its third field (the state) on; empty when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _namespace(pid: int, kind: str) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino
    except OSError:  # gone, a zombie, no such type, or not ours to see
        return None


def _refuse_self(target: ForeignContainer, members: Mapping[int, _Seen]) -> None:
    if os.getpid() in members:
        raise FailedPrecondition(f"{target.name}: this very process runs in it")


def _own_freezer(
    target: ForeignContainer, members: Mapping[int, _Seen]
) -> tuple[Freezer, str] | None:
    """Return what freezes its own cgroup, and that cgroup's path; None if it has none."""
    for hierarchy in discover():
        first = hierarchy.version == 1
        if first and "freezer" not in hierarchy.controllers:
            continue
        path = _path(target.cgroups, "freezer" if first else "")
        directory = hierarchy.mountpoint + path
        has_file = os.path.exists(f"{directory}/{'freezer.state' if first else 'cgroup.freeze'}")
        if path != "/" and has_file and _exclusive(directory, members):
            return (FirstFreezer(directory) if first else SecondFreezer(directory)), _named(
                hierarchy, path
            )
    return None


def _named(hierarchy: Hierarchy, path: str) -> str:
    return f"{hierarchy.name}:{path}"


def _path(cgroups: Mapping[str, str], controller: str) -> str:
    for names, path in cgroups.items():
        if controller in names.split(","):
            return "/" + path.strip("/")
    return "/" + cgroups.get("", "/").strip("/")


def _exclusive(directory: str, members: Mapping[int, _Seen]) -> bool:
    """Tell whether only the container's processes are in a cgroup and below it, and some are."""
    found: set[int] = set()
    for parent, _, _ in os.walk(directory):
        try:
            with open(f"{parent}/cgroup.procs", "rb") as file:
                found.update(int(line) for line in file.read().split())
        except OSError:  # it went away; or a threaded one, which cannot be told apart
            return False
    # 0 is a process outside this pid namespace, and so none of the container's that we know.
    return bool(found) and found <= members.keys()


def _stop_each(target: ForeignContainer) -> str:
    """Stop every process by SIGSTOP; again while new ones appear, for they fork meanwhile."""
    deadline = time.monotonic() + _STOP_SECONDS
    while True:
        members = _members(target)
        running = [pid for pid, seen in members.items() if seen.state not in "tTZX"]
        if not running:
            return f"SIGSTOP to {len(members)} processes, for it has no cgroup of its own"
        if time.monotonic() > deadline:
            for pid, seen in members.items():
                _signal_member(pid, seen, signals.SIGCONT)
            raise DeadlineExceeded(f"{target.name}: {len(running)} processes do not stop")
        for pid in running:
            _signal_member(pid, members[pid], signals.SIGSTOP)
        time.sleep(0.005)


def _signal_member(pid: int, seen: _Seen, signal: int) -> None:
    """Signal a process if it still is the one that was seen."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _stat(pid)[19:20] == [seen.start_ticks]:
            signals.pidfd_send_signal(descriptor, signal)
    except ProcessLookupError:
        return
    except PermissionError:
        raise PermissionDenied(f"process {pid}: this user may not signal it") from None
    finally:
        os.close(descriptor)


def _linux_resources(resources: Resources) -> dict[str, dict[str, Any]]:
    """Return the limits as the OCI spec's `linux.resources` has them, those that are asked for."""
    cpu: dict[str, Any] = {}
    if resources.cpus is not None:
        cpu["quota"] = int(resources.cpus * _PERIOD_USEC) or -1  # 0 lifts the limit
        cpu["period"] = _PERIOD_USEC
    if resources.cpu_shares is not None:
        cpu["shares"] = resources.cpu_shares
    wanted: dict[str, dict[str, Any]] = {"cpu": cpu} if cpu else {}
    if resources.cpuset_cpus is not None:
        wanted["cpuset"] = {"cpus": resources.cpuset_cpus}
    if resources.memory_bytes is not None:
        wanted["memory"] = {"limit": resources.memory_bytes}
    if resources.pids_limit is not None:
        wanted["pids"] = {"limit": resources.pids_limit}
    return wanted


def _gone(target: ForeignContainer) -> NotFound:
    return NotFound(f"{target.name}: its first process {target.pid} is gone")
