"""One clone: what it needs before, and what its two sides say to each other after."""

import contextlib
import fcntl
import json
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from runtime import errors
from runtime.cgroups.join import Join
from runtime.errors import FailedPrecondition, Internal, RuntimeFailure
from runtime.formats.idmap import Extent
from runtime.init import ending, namespaces, signals
from runtime.init.ready import Ready
from runtime.init.step import Child, Step, explain
from runtime.linux import constants, idmap, syscalls

if TYPE_CHECKING:
    from runtime.init import joining

_SETUP_SECONDS: Final = 60.0
Streams = tuple[int, int, int]


class Launched:
    """A process that was cloned: its pid as seen here, its pidfd, its terminal's master if any."""

    __slots__ = ("_after", "_former", "_sync", "console", "pid", "pidfd")

    def __init__(
        self,
        pid: int,
        pidfd: int,
        *,
        console: int | None,
        sync: socket.socket | None,
        former: "syscalls.Cloned | None" = None,
    ) -> None:
        """`former` is what it was before it went over, which was halted and shares its memory."""
        self.pid = pid
        self.pidfd = pidfd
        self.console = console
        self._sync = sync
        self._former = former
        self._after: Callable[[int], None] | None = None

    def afterwards(self, action: Callable[[int], None]) -> None:
        """Have `start` end with an action, which is given the pid; if it raises, the init ends."""
        self._after = action

    def start(self) -> None:
        """Let it execute its command; returns when it has.

        Raises `CommandNotExecutable` and the like if it could not; it has then ended, and is to be
        waited for as always.
        """
        if self._sync is None:
            raise FailedPrecondition("the process was started before")
        sync, self._sync = self._sync, None
        with sync:
            try:
                if self._former is not None:
                    ending.halt(
                        self._former
                    )  # once more: a SIGCONT to everybody would have undone it
                sync.send(b"S")
            except (BrokenPipeError, ConnectionResetError):
                raise FailedPrecondition("the container's init has ended") from None
            message = _receive(sync)
        self._let_former_go()
        if message:
            raise failure(message)
        if self._after is not None:
            try:
                self._after(self.pid)
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
                raise

    def close(self) -> None:
        """Close the descriptors; an init that still waits ends."""
        if self._sync is not None:
            self._sync.close()
            self._sync = None
        self._let_former_go()
        for descriptor in (self.pidfd, self.console):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self.pidfd, self.console = -1, None

    def _let_former_go(self) -> None:
        former, self._former = self._former, None
        if former is not None:
            ending.let_go(former)


def _ignore(_pid: int) -> None:
    """Do nothing."""


class Answers(NamedTuple):
    """What the parent does at the points where its child waits for it; each is given the pid."""

    on_namespaces: Callable[[int], None] = _ignore
    """The namespaces are there, nothing is pivoted yet."""
    on_ready: Callable[[int], None] = _ignore
    """All is set up; for a child that parks."""
    on_listener: Callable[[int, int], None] | None = None
    """A filter of system calls has a listener, whose descriptor comes second."""


class Place(NamedTuple):
    """Where a child is cloned into."""

    flags: int = 0
    """The namespaces that are made for it."""
    pid_namespace: int | None = None
    """One to be joined, or a pidfd of who is in it."""
    clocks: bytes | None = None
    """The offsets of a time namespace to be made."""
    sibling: bool = False
    """Whether it is to be a child of this process's parent; there is one thread and SIGCHLD then."""


class Launch:
    """A child that is to be: its steps, its streams, its id maps."""

    __slots__ = (
        "_answers",
        "_apart",
        "_attach",
        "_former",
        "_maps",
        "_rlimits",
        "_stdio",
        "_steps",
    )

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        stdio: Streams | None,
        maps: tuple[tuple[Extent, ...], tuple[Extent, ...]] | None = None,
        rlimits: "Sequence[joining.Rlimit]" = (),
        answers: Answers = Answers(),  # noqa: B008 - immutable
    ) -> None:
        """`rlimits` are set by the parent: inside a new user namespace nothing may raise one."""
        self._steps = steps
        self._stdio = stdio
        self._maps = maps
        self._rlimits = rlimits
        self._answers = answers
        self._attach: Callable[[int], None] | None = None
        self._apart = False
        self._former: syscalls.Cloned | None = None

    def run(self, join: Join, place: Place) -> Launched:
        """Clone, and wait until the child is ready."""
        ours, theirs = sockets()
        try:
            prepare(self._steps)
            with theirs:
                cloned = self._clone(join, ours, theirs, place=place)
        except BaseException:
            ours.close()
            raise
        finally:
            join.close()
            for step in self._steps:
                step.release()
        self._attach = join.attach
        return self.follow(cloned, ours)

    def follow(
        self, cloned: syscalls.Cloned, ours: socket.socket, *, apart: bool = False
    ) -> Launched:
        """Wait until a child is ready that was told elsewhere what to do, or raise why it is not.

        `apart` says that nobody in the container can see, and so signal, who the child was before.
        """
        self._apart = apart
        family = [cloned]
        try:
            return self._await(family, ours)
        except BaseException:
            ending.end(
                family[-1]
            )  # before the socket is closed: what it has become would end at that
            ours.close()
            raise

    def _clone(
        self, join: Join, ours: socket.socket, theirs: socket.socket, *, place: Place
    ) -> syscalls.Cloned:
        from runtime.init import child  # noqa: PLC0415 - whoever has a spare clones none

        state = Child(sync=theirs, tasks=join.tasks)
        state.stdio = self._stdio
        state.stranded = join.attach is not None
        state.ignored = signals.ignored()
        with syscalls.unreadable(), namespaces.children_in(place.pid_namespace, place.clocks):
            cloned = syscalls.clone3(
                place.flags
                | constants.CLONE_CLEAR_SIGHAND
                | (constants.CLONE_PARENT if place.sibling else 0),
                exit_signal=0 if place.sibling else signal.SIGCHLD,  # else it is this process's own
                cgroup=join.into,
            )
            if cloned.pid == 0:
                child.main(self._steps, state, close=ours)
        return cloned

    def _await(self, family: list[syscalls.Cloned], ours: socket.socket) -> Launched:
        """Answer the child until it is ready; the last of the family is the one that goes on."""
        console: int | None = None
        try:
            while True:
                message, descriptors = _receive_with_descriptor(ours)
                if message == b"R":
                    return self._ready(family[-1], ours, console)
                if message == b"C":
                    console = descriptors[0]
                elif message.startswith(b"F"):
                    family.append(syscalls.Cloned(int(message[1:]), descriptors[0]))
                    ending.reap(family[0])
                    ours.send(b"M")
                elif message.startswith(b"T"):
                    pid = int(message[1:])
                    family.append(syscalls.Cloned(pid, os.pidfd_open(pid)))
                    self._former = family[0]
                    (ending.halt if self._apart else ending.kill)(self._former)
                    ours.close()
                    ours = _with_deadline(socket.socket(fileno=descriptors[0]))
                    ours.send(b"M")
                else:
                    self._answer(message, family[-1], ours)
        except BaseException:
            if console is not None:
                os.close(console)
            self._end_former()
            ours.close()
            raise

    def _end_former(self) -> None:
        former, self._former = self._former, None
        if former is not None:
            ending.end(former)

    def _ready(self, cloned: syscalls.Cloned, ours: socket.socket, console: int | None) -> Launched:
        """Let a child that is ready go on, as far as it may."""
        step = next(each for each in self._steps if isinstance(each, Ready))
        if step.waits:
            return Launched(
                cloned.pid, cloned.pidfd, console=console, sync=ours, former=self._former
            )
        self._end_former()
        if step.parks:
            self._answers.on_ready(cloned.pid)
            ours.send(b"P")
        elif message := _receive(ours):
            raise failure(message)
        ours.close()
        return Launched(cloned.pid, cloned.pidfd, console=console, sync=None)

    def _answer(self, message: bytes, cloned: syscalls.Cloned, ours: socket.socket) -> None:
        """Do what the child waits for, or raise what it reports."""
        if message == b"U" and self._maps is not None:
            key = ""
            try:
                for limit in self._rlimits:
                    key = limit.describe()
                    limit.apply(cloned.pid)
                key = "linux.uidMappings and linux.gidMappings: map the ids"
                idmap.write_maps(cloned.pid, *self._maps)
            except OSError as error:
                raise Internal(explain(key, error)) from error
            ours.send(b"M")
        elif message == b"A" and self._attach is not None:
            self._attach(cloned.pid)
            ours.send(b"M")
        elif message == b"H":
            self._answers.on_namespaces(cloned.pid)
            ours.send(b"M%d" % cloned.pid)
        elif message.startswith(b"N") and self._answers.on_listener is not None:
            listener = syscalls.pidfd_getfd(cloned.pidfd, int(message[1:]))
            try:
                self._answers.on_listener(cloned.pid, listener)
            finally:
                os.close(listener)
            ours.send(b"M")
        elif message:
            raise failure(message)
        else:
            raise Internal(f"the container's init {_ending(cloned.pidfd)} before it was ready")


def prepare(steps: Sequence[Step]) -> None:
    """Prepare each step; raises `Internal` with the name of one that fails."""
    for step in steps:
        try:
            step.prepare()
        except OSError as error:
            raise Internal(explain(step.describe(), error)) from error


def sockets() -> tuple[socket.socket, socket.socket]:
    """Return a pair of sockets; the child's is out of the way of its standard streams."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    _with_deadline(ours)
    with theirs:
        high = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, 10)
    return ours, socket.socket(fileno=high)


def _with_deadline(sync: socket.socket) -> socket.socket:
    sync.settimeout(_SETUP_SECONDS)
    return sync


def _receive(sync: socket.socket) -> bytes:
    """Return the next message; empty at the end, which an exec brings about."""
    try:
        return sync.recv(1 << 16)
    except ConnectionResetError:
        return b""
    except TimeoutError:
        raise errors.DeadlineExceeded(
            f"the container's init was not ready after {_SETUP_SECONDS:.0f} seconds"
        ) from None


def _receive_with_descriptor(sync: socket.socket) -> tuple[bytes, list[int]]:
    try:
        message, descriptors, _, _ = socket.recv_fds(sync, 1 << 16, 1)
    except ConnectionResetError:
        return b"", []
    except TimeoutError:
        raise errors.DeadlineExceeded(
            f"the container's init was not ready after {_SETUP_SECONDS:.0f} seconds"
        ) from None
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - its only form
    return message, descriptors


def failure(message: bytes) -> RuntimeFailure:
    """Return what a child's report raises here."""
    report = json.loads(message)
    kind = getattr(errors, report["kind"], Internal)
    return (
        kind(report["message"]) if issubclass(kind, RuntimeFailure) else Internal(report["message"])
    )


def _ending(pidfd: int) -> str:
    """Say how a child ended, leaving it to be waited for."""
    try:
        result = os.waitid(constants.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:  # a sibling: its parent alone hears how
        result = None
    if result is None:
        return "ended (out of memory?)"
    if result.si_code == os.CLD_EXITED:
        return f"exited with {result.si_status}"
    hint = ": out of memory?" if result.si_status == signal.SIGKILL else ""
    return f"was killed by signal {result.si_status}{hint}"
