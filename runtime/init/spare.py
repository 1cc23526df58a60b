"""A child that is there before it is needed, so that a start does without a fork.

A fork of an interpreter takes longer than all the rest of a start: page tables are copied, and then
page after page, as both sides write to them. So a process that stays, or has something else to do
first, forks a spare. That makes what every container has (`furniture`), and waits. Told of a
container it does what takes no cgroup, while its parent makes the cgroups; then it is the
container's init.

A v2 cgroup, and a pid namespace, has to be born into. So the spare goes over into a new process that
keeps its memory (`syscalls.go_over`). Until it is told, nothing of the container has a share in it.
"""

import marshal
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from runtime.errors import Internal, RuntimeFailure
from runtime.init import (
    child,
    furniture,
    hardening,
    joining,
    launch,
    mounting,
    namespaces,
    plan,
    procfs,
    reserve,
)
from runtime.init.job import Identity, Job, Manner
from runtime.init.step import Child, Step
from runtime.linux import constants, syscalls

_DESCRIPTORS: Final = 64
_AHEAD: Final = constants.CLONE_NEWIPC | constants.CLONE_NEWNET | constants.CLONE_NEWUTS
"""The namespaces that it makes before it is told of a container."""
_FILES: Final = {
    "ipc": constants.CLONE_NEWIPC,
    "net": constants.CLONE_NEWNET,
    "uts": constants.CLONE_NEWUTS,
}
"""Those by their files in /proc/PID/ns (namespaces(7))."""
_CLONE: Final = "clone the container's init"


def keep(*, sibling: bool = False) -> None:
    """Fork a spare, unless there is one, which makes its memory its own meanwhile, page by page."""
    reserve.fork(_main, sibling=sibling)


def pid() -> int:
    """Return the spare's pid; 0 if there is none."""
    return reserve.spares[0].pid if reserve.spares else 0


# The spare's own side


def _main(sync: socket.socket, told: int, ignored: int) -> NoReturn:
    main(sync, told, ignored, early=True)


def main(sync: socket.socket, told: int, ignored: int, *, early: bool) -> NoReturn:
    """Wait for a container, do what can be done without its cgroups, and become its init.

    One that is early has time to touch all that it will take.
    """
    state = Child(sync=sync, tasks=())
    state.ignored = ignored
    try:
        told = _leave(sync, told)
        room = Child(sync=sync, tasks=())
        apart = _part(room)
        made = _furnish(room) if apart and early else None
        if early:
            if apart:
                _return()
            _rehearse()
        _await(told, sync)
        spec, packed = marshal.loads(sync.recv(reserve.LARGEST))  # noqa: S302 - of this program, in memory
        wanted = namespaces.of(spec)
        steps = plan.of(Job.of(packed), spec)
        if apart:
            steps = _settle(steps, wanted, apart)
        if made is not None:
            steps = made.fit(steps, wanted.new)
        steps = _begin(steps, state, wanted.clone_flags, ahead=bool(apart))
        cgroup, trees = _receive(sync, state)
        for each in steps:
            if isinstance(each, mounting.CgroupMount):
                each.give(trees)
        flags = wanted.clone_flags & constants.CLONE_NEWPID | constants.CLONE_CLEAR_SIGHAND
        pid = syscalls.go_over(flags, cgroup=cgroup)
        _tell(state, pid)
        child.main(steps, state, close=None)
    except BaseException as error:  # noqa: BLE001 - past it lies the parent's code, in a copy of it
        if isinstance(error, RuntimeFailure):
            child.tell(state, type(error).__name__, str(error))
        else:
            child.tell(state, Internal.__name__, child.words(_CLONE, error))
        _linger(state.sync)
    finally:
        os._exit(126)


def _tell(state: Child, pid: int) -> None:
    """Tell the parent of the new process, over a socket that what this one was has not open."""
    with state.sync as former:
        ours, state.sync = launch.sockets()
        state.report = state.sync.fileno()
        with ours:
            socket.send_fds(former, [b"T%d" % pid], [ours.fileno()])
    if state.sync.recv(1) != b"M":  # what this was could still come back to its stack
        os._exit(126)


def _await(told: int, sync: socket.socket) -> None:
    """Wait to be told, or for the parent to be gone: of the socket nothing else is listened for."""
    either = select.poll()
    either.register(told, select.POLLIN)
    either.register(sync, 0)
    either.poll()
    os.close(told)


def _linger(sync: socket.socket) -> NoReturn:
    """Stay until the parent has closed its end: what it sends and nobody reads would hide a report."""
    try:
        while sync.recv(1):
            pass
    finally:
        os._exit(126)


def _leave(sync: socket.socket, told: int) -> int:
    """Hold nothing of the parent's but these two, and end with it; return what `told` is now."""
    syscalls.prctl(constants.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    os.chdir("/")
    os.umask(0)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    kept = os.dup2(told, sync.fileno() + 1, inheritable=False)
    syscalls.close_range(3, sync.fileno() - 1)
    syscalls.close_range(kept + 1, 0x7FFFFFFF)
    return kept


def _part(room: Child) -> dict[int, int]:
    """Make namespaces, and return their open files by their flags.

    None of them if that cannot be: then who may makes them later.
    """
    try:
        syscalls.unshare(_AHEAD)
        joining.Loopback().execute(room)
        flags = os.O_RDONLY | os.O_CLOEXEC
        return {flag: os.open(f"/proc/self/ns/{name}", flags) for name, flag in _FILES.items()}
    except OSError:
        return {}


def _return() -> None:
    """Go back to the parent's namespaces: with others it would look like a container meanwhile."""
    parent = os.pidfd_open(os.getppid())
    syscalls.setns(parent, _AHEAD)
    os.close(parent)


def _furnish(room: Child) -> furniture.Furniture | None:
    try:
        return furniture.Furniture(room)
    except (OSError, RuntimeFailure):
        return None


def _rehearse() -> None:
    """Touch all that a plan takes, and have every page that may be written to."""
    plan.of(Job("/", (), None, Identity("", ""), Manner()), furniture.COMMON)
    syscalls.populate()


def _settle(steps: list[Step], wanted: namespaces.Namespaces, made: dict[int, int]) -> list[Step]:
    """Be in those of the namespaces that the container has of its own, and else in the parent's."""
    _return()
    for flag, descriptor in made.items():
        if wanted.clone_flags & flag:
            syscalls.setns(descriptor, flag)
    return [each for each in steps if not isinstance(each, joining.Loopback)]


def _begin(steps: list[Step], state: Child, flags: int, *, ahead: bool) -> list[Step]:
    """Do what can be done before there are cgroups and a pid namespace; return the other steps."""
    launch.prepare([each for each in steps if not isinstance(each, mounting.CgroupMount)])
    flags &= ~constants.CLONE_NEWPID
    syscalls.unshare(flags & ~_AHEAD if ahead else flags)
    now, later = _parted(steps, pivot=ahead)
    # Nothing is loaded from here on: it would be looked for among the container's files.
    sys.meta_path.clear()
    for step in now:
        try:
            step.execute(state)
        except (OSError, RuntimeFailure) as error:
            child.report(state, step, error)
            _linger(state.sync)
    state.inside = not any(isinstance(each, hardening.PivotRoot) for each in later)
    return later


def _parted(steps: Sequence[Step], *, pivot: bool) -> tuple[list[Step], list[Step]]:
    """Return the steps of the container's tree that can be taken now, and all others.

    A proc filesystem takes the pid namespace, and cgroups are mounted when they are there. Both are
    in places to which no link leads, so what is mounted beside them may come before; and the pivot
    too, which waits for the kernel, if `pivot` allows and the others do without the host's paths.
    """
    end = next(index for index, each in enumerate(steps) if isinstance(each, hardening.PivotRoot))
    now: list[Step] = []
    later: list[Step] = []
    waiting: list[str] = []
    for step in steps[:end]:
        if isinstance(step, joining.OomScore):
            now.append(step)
        elif not _is_of_tree(step):
            later.append(step)
        elif _may_come_now(step, waiting):
            now.append(step)
        else:
            later.append(step)
            waiting.append(getattr(step, "destination", ""))
    if pivot and type(steps[end]) is hardening.PivotRoot and all(map(_needs_no_path, later)):
        now.append(steps[end])
        end += 1
    return now, [*later, *steps[end:]]


def _needs_no_path(step: Step) -> bool:
    """Tell whether a step is the same after the pivot: what it takes of the host is open."""
    kinds = (joining.EnterCgroups, joining.PrivateCgroups, joining.Keyring, joining.Names)
    others = (joining.Rlimit, procfs.OpenProcfs, mounting.CgroupMount, mounting.BindMount)
    made = (furniture.Placed, hardening.Device, hardening.Link)
    return isinstance(step, (*kinds, *others, *made)) or (
        isinstance(step, mounting.FilesystemMount) and step.fstype in {"proc", "tmpfs"}
    )


def _is_of_tree(step: Step) -> bool:
    kinds = (mounting.Propagation, mounting.RootMount, mounting.BindMount, mounting.CgroupMount)
    others = (mounting.FilesystemMount, furniture.Placed, hardening.Device, hardening.Link)
    return isinstance(step, (*kinds, *others))


def _may_come_now(step: Step, waiting: list[str]) -> bool:
    """Tell whether a step may come before those that wait, by where they mount."""
    if isinstance(step, mounting.CgroupMount):
        return False
    place = getattr(step, "destination", "")
    if isinstance(step, mounting.FilesystemMount) and step.fstype == "proc":
        return False
    if not waiting:
        return True
    return (
        isinstance(step, mounting.FilesystemMount | furniture.Placed)
        and mounting.is_kernel_place(place)
        and all(mounting.is_kernel_place(each) and each for each in waiting)
        and not any(f"{place}/".startswith(f"{each}/") for each in waiting)
    )


def _receive(sync: socket.socket, state: Child) -> tuple[int | None, list[int]]:
    """Return the v2 cgroup to be born into, if there is one, and the cgroups' mounts.

    Streams and v1's files are noted.
    """
    told, found, _, _ = socket.recv_fds(sync, 64, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    descriptors: list[int] = list(found)
    if not told:
        os._exit(126)  # the parent is gone, or does without
    counts: tuple[int, int, int] = marshal.loads(told)  # noqa: S302 - of this program, in memory
    streams, born, trees = counts
    if streams:
        state.stdio = (descriptors[0], descriptors[1], descriptors[2])
    shown = streams + born
    state.tasks = tuple(descriptors[shown + trees :])
    return (descriptors[streams] if born else None), descriptors[shown : shown + trees]
