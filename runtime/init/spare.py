"""A child that is there before it is needed, so that a start does without a fork.

A fork of an interpreter takes longer than all the rest of a start: page tables are copied, and then
page after page, as both sides write to them. So a process that stays, or has something else to do
first, forks a spare, which waits for the spec. It plans the container while its parent makes the
cgroups, and then is the container's init.

A v2 cgroup, and a pid namespace, has to be born into. So the spare goes over into a new process that
keeps its memory (`syscalls.go_over`). Until then nothing of the container has a share in it.
"""

import marshal
import os
import signal
import socket
from typing import Any, Final, NamedTuple, NoReturn

from runtime.cgroups.join import Join
from runtime.cgroups.manager import Manager
from runtime.errors import Internal, RuntimeFailure
from runtime.formats.spec import Spec
from runtime.init import child, joining, launch, layout, namespaces, plan, signals
from runtime.init.launch import Answers, Launch, Launched, Streams
from runtime.init.ready import Park, Ready
from runtime.init.step import Child, Step
from runtime.linux import constants, syscalls

_LARGEST: Final = 1 << 18
_DESCRIPTORS: Final = 64
_KINDS: Final = frozenset({"cgroup", "ipc", "mount", "network", "pid", "uts"})
"""The namespaces that it can go over into: no user namespace, which takes its parent's help."""
_CLONE: Final = "clone the container's init"


class Job(NamedTuple):
    """What the plan of a container is made of, beside its spec."""

    rootfs: str
    hierarchies: layout.Hierarchies
    seccomp: plan.Filter | None
    who: plan.Identity
    manner: plan.Manner

    def pack(self) -> tuple[Any, ...]:
        """Return it as `marshal` takes it."""
        hierarchies = tuple(tuple(each) for each in self.hierarchies)
        seccomp = None if self.seccomp is None else tuple(self.seccomp)
        return self.rootfs, hierarchies, seccomp, tuple(self.who), tuple(self.manner)

    def plan(self, spec: Spec) -> list[Step]:
        """Return the steps of the container's init."""
        return plan.create(
            spec,
            rootfs=self.rootfs,
            hierarchies=self.hierarchies,
            seccomp=self.seccomp,
            who=self.who,
            manner=self.manner,
        )

    @classmethod
    def of(cls, packed: tuple[Any, ...]) -> "Job":
        """Return what was packed."""
        rootfs, hierarchies, seccomp, who, manner = packed
        return cls(
            rootfs,
            hierarchies,
            None if seccomp is None else plan.Filter(*seccomp),
            plan.Identity(*who),
            plan.Manner(*manner),
        )


class _Spare:
    """The parent's side: the process, the socket to it, and the spec that it has begun with."""

    __slots__ = ("begun", "cloned", "sync")

    def __init__(self, cloned: syscalls.Cloned, sync: socket.socket) -> None:
        self.cloned = cloned
        self.sync = sync
        self.begun: Spec | None = None


_kept: list[_Spare] = []
"""At most one: a process's own."""


def keep() -> None:
    """Fork a spare, unless there is one; only for a process without threads.

    It makes its memory its own meanwhile, page by page.
    """
    if _kept:
        return
    ignored = signals.ignored()
    ours, theirs = launch.sockets()
    with theirs, launch.unreadable():
        try:
            cloned = syscalls.clone3(constants.CLONE_CLEAR_SIGHAND, exit_signal=signal.SIGCHLD)
        except OSError:
            ours.close()
            return  # a start forks by itself then, or says why it cannot
        if cloned.pid == 0:
            _main(theirs, ignored)
    _kept.append(_Spare(cloned, ours))


def pid() -> int:
    """Return the spare's pid; 0 if there is none."""
    return _kept[0].cloned.pid if _kept else 0


def drop() -> None:
    """End the spare, if there is one."""
    while _kept:
        spare = _kept.pop()
        spare.sync.close()
        try:
            signal.pidfd_send_signal(spare.cloned.pidfd, signal.SIGKILL)
            launch.reap(spare.cloned)
        except (
            ProcessLookupError,
            ChildProcessError,
        ):  # it was killed, and reaped by somebody else
            os.close(spare.cloned.pidfd)


def begin(spec: Spec) -> None:
    """Have the spare begin with a container, if there is one and it can be that container's init.

    It makes the network namespace now. A spare that has begun with another spec is dropped.
    """
    if not _kept or _kept[0].begun is spec:
        return
    if _kept[0].begun is not None:
        drop()
        return
    wanted = namespaces.of(spec)
    if wanted.joined or not wanted.new <= _KINDS:
        return
    try:
        _kept[0].sync.send(marshal.dumps(dict(spec)))
    except (OSError, ValueError):  # it is gone, or the spec too large
        drop()
        return
    _kept[0].begun = spec


def take(
    spec: Spec, job: Job, cgroup: Manager, *, stdio: Streams | None, answers: Answers
) -> Launched | None:
    """Have the spare become the init of a container, and return it when it is ready.

    Returns None if there is no spare, or none that can.
    """
    if not _kept or _kept[0].begun is not spec:
        return None
    join = cgroup.join_paths()
    try:
        if join.attach is None and _hand_over(_kept[0].sync, job, join, stdio):
            spare = _kept.pop()
            ready = Ready(wait=True) if job.manner.park is None else Park(job.manner.park)
            return Launch([ready], stdio=None, answers=answers).follow(spare.cloned, spare.sync)
    finally:
        join.close()
    drop()
    return None


def _hand_over(sync: socket.socket, job: Job, join: Join, stdio: Streams | None) -> bool:
    """Send the spare all that it needs; tell whether that could be."""
    born = () if join.into is None else (join.into,)
    data = marshal.dumps((job.pack(), stdio is not None, bool(born)))
    try:
        socket.send_fds(sync, [data], (*(stdio or ()), *born, *join.tasks))
    except OSError:  # it is gone, or the job too large
        return False
    return True


# The spare's own side


def _main(sync: socket.socket, ignored: int) -> NoReturn:
    """Wait for a container, plan it, and become its init; what fails is reported."""
    state = Child(sync=sync, tasks=())
    state.ignored = ignored
    try:
        _leave(sync)
        syscalls.populate()
        spec: Spec = marshal.loads(sync.recv(_LARGEST))  # noqa: S302 - of this program, in memory
        flags = namespaces.of(spec).clone_flags
        connected = _connect(flags, state)
        _rehearse(spec)
        job, cgroup = _receive(sync, state)
        steps = job.plan(spec)
        if connected:
            flags &= ~constants.CLONE_NEWNET
            steps = [each for each in steps if not isinstance(each, joining.Loopback)]
        launch.prepare(steps)
        pid = syscalls.go_over(flags | constants.CLONE_CLEAR_SIGHAND, cgroup=cgroup)
        os.write(sync.fileno(), b"T%d" % pid)
        child.main(steps, state, close=None)
    except BaseException as error:  # noqa: BLE001 - past it lies the parent's code, in a copy of it
        if isinstance(error, RuntimeFailure):
            child.tell(state, type(error).__name__, str(error))
        else:
            child.tell(state, Internal.__name__, child.words(_CLONE, error))
    finally:
        os._exit(126)


def _leave(sync: socket.socket) -> None:
    """Hold nothing of the parent's, and end with it."""
    syscalls.prctl(constants.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    syscalls.close_range(3, sync.fileno() - 1)
    syscalls.close_range(sync.fileno() + 1, 0x7FFFFFFF)


def _connect(flags: int, state: Child) -> bool:
    """Enter a new network namespace, if one is wanted; what cannot be done now is left for later."""
    if not flags & constants.CLONE_NEWNET:
        return False
    try:
        syscalls.unshare(constants.CLONE_NEWNET)
        joining.Loopback().execute(state)
    except OSError:
        return False
    return True


def _rehearse(spec: Spec) -> None:
    """Plan in advance, for nothing but to have touched all that it takes; it is done again later."""
    try:
        Job("/", (), None, plan.Identity("", ""), plan.Manner()).plan(spec)
    except Exception:  # noqa: BLE001 - the plan that counts raises it where it is told
        return


def _receive(sync: socket.socket, state: Child) -> tuple[Job, int | None]:
    """Return the job and the v2 cgroup to be born into; streams and v1's files are noted."""
    data, descriptors, _, _ = socket.recv_fds(sync, _LARGEST, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    packed, streams, born = marshal.loads(data)  # noqa: S302 - of this program, in memory
    if streams:
        state.stdio = (descriptors[0], descriptors[1], descriptors[2])
        del descriptors[:3]
    cgroup = descriptors.pop(0) if born else None
    state.tasks = tuple(descriptors)
    return Job.of(packed), cgroup
