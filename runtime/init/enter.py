"""A program that runs a command among the namespaces and cgroups of any process.

`python -I -S enter.py --pid PID [--start-ticks N] [--namespaces mnt,pid,…] [--confine]
[--own-environment] [--terminal] [--user USER] [--cwd DIR] [--env KEY=VALUE]… [--env-fd N]
-- COMMAND…`: for containers of other engines, or of none. The command has the caller's terminal,
the target's root directory and its working directory. `--confine` gives it the target's ids,
capabilities and no_new_privs too, `--own-environment` what the target was started with; `--env-fd`
is an open file with more variables, each ended by a NUL, which no list of processes shows;
`--terminal` makes stdin the controlling terminal of a session of its own. The exit status is the
command's own, 128+N for signal N, 127 without such a command, 126 if it cannot run, 125 for
everything else.
"""

import fcntl
import os
import signal
import sys
import termios
from collections.abc import Sequence
from typing import NoReturn

if __name__ == "__main__" and not __package__:
    # Run as a file by an interpreter that was told to look nowhere else.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from runtime.cgroups import membership
from runtime.errors import (
    CommandNotExecutable,
    CommandNotFound,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    RuntimeFailure,
)
from runtime.init import identity, joining, namespaces
from runtime.init.launch import Launch, Place
from runtime.init.ready import Ready
from runtime.init.step import Child, Step
from runtime.linux import constants
from runtime.linux.syscalls import CapabilitySets

_USAGE = 125
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_FLAGS = ("--confine", "--own-environment", "--terminal")
_OPTIONS = ("--pid", "--start-ticks", "--namespaces", "--user", "--cwd", "--env", "--env-fd")


class Request:
    """What the command line says."""

    __slots__ = (
        "command",
        "confine",
        "cwd",
        "env",
        "namespaces",
        "own_environment",
        "pid",
        "start_ticks",
        "terminal",
        "user",
    )

    def __init__(self, arguments: Sequence[str]) -> None:
        self.pid = 0
        self.start_ticks: int | None = None
        self.namespaces: frozenset[str] | None = None
        self.confine = False
        self.own_environment = False
        self.terminal = False
        self.user: str | None = None
        self.cwd: str | None = None
        self.env: list[str] = []
        self.command: tuple[str, ...] = ()
        rest = list(arguments)
        while rest:
            word = rest.pop(0)
            if word == "--":
                self.command = tuple(rest)
                break
            if word in _FLAGS:
                setattr(self, word[2:].replace("-", "_"), True)
                continue
            name, equals, value = word.partition("=")
            if name not in _OPTIONS or not (equals or rest):
                raise InvalidArgument(f"unknown or incomplete option: {word}")
            self._take(name, value if equals else rest.pop(0))
        if self.pid <= 0 or not self.command:
            raise InvalidArgument("needs --pid and, after --, a command")

    def _take(self, name: str, value: str) -> None:
        if name in {"--pid", "--start-ticks"}:
            if not value.isdigit():
                raise InvalidArgument(f"{name}: {value!r} is not a number")
            setattr(self, name[2:].replace("-", "_"), int(value))
        elif name == "--namespaces":
            chosen = frozenset(value.split(","))
            if unknown := chosen - set(constants.NAMESPACE_FILES.values()):
                raise InvalidArgument(f"--namespaces: unknown: {', '.join(sorted(unknown))}")
            self.namespaces = chosen
        elif name == "--env":
            self.env.append(value)
        elif name == "--env-fd":
            self.env.extend(_variables(_descriptor(value)))
        else:
            setattr(self, name[2:], value)


class ChangeRoot(Step):
    """Take the target's root directory: it need not be that of its mount namespace."""

    __slots__ = ("_cwd", "_directories", "_pid")

    def __init__(self, pid: int, cwd: str | None) -> None:
        self._pid = pid
        self._cwd = cwd
        self._directories = (-1, -1)

    def describe(self) -> str:
        """Name the process."""
        return f"enter the root directory of process {self._pid}"

    def prepare(self) -> None:
        """Open root and working directory while their paths can be seen."""
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        root = os.open(f"/proc/{self._pid}/root", flags)
        self._directories = (root, os.open(f"/proc/{self._pid}/cwd", flags))

    def release(self) -> None:
        """Close them."""
        for descriptor in self._directories:
            if descriptor >= 0:
                os.close(descriptor)
        self._directories = (-1, -1)

    def execute(self, child: Child, /) -> None:
        """Change the root; a working directory outside of it is not taken over."""
        root, working = self._directories
        os.fchdir(root)
        os.chroot(".")
        if child.rootfs >= 0:
            os.close(child.rootfs)
        child.rootfs = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if self._cwd is not None:
            try:
                os.chdir(self._cwd)
            except OSError as error:
                raise FailedPrecondition(f"--cwd: {self._cwd}: {error.strerror}") from None
            return
        try:
            os.fchdir(working)
            os.getcwd()
        except OSError:
            os.chdir("/")


class OwnTerminal(Step):
    """Begin a session, with the terminal that stdin is: a shell's job control needs both."""

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "begin a session on the terminal"

    def execute(self, child: Child, /) -> None:
        """Take it; it must be no other session's."""
        del child
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Confine(Step):
    """Be no more than the target is: its ids, groups, capabilities and no_new_privs."""

    __slots__ = ("_steps", "_target")

    def __init__(self, target: dict[str, str], *, keep_user: bool) -> None:
        self._target = target
        sets = CapabilitySets(*(int(target[key], 16) for key in ("CapEff", "CapPrm", "CapInh")))
        self._steps: list[Step] = [identity.BoundingSet(int(target["CapBnd"], 16))]
        if not keep_user:
            self._steps.append(_TakeIds(target))
        self._steps.append(identity.SwitchUser(0o022))
        self._steps.append(identity.Capabilities(sets, int(target["CapAmb"], 16)))
        if target.get("NoNewPrivs") == "1":
            self._steps.append(identity.NoNewPrivileges())

    def describe(self) -> str:
        """Say it."""
        return "take the target's privileges"

    def prepare(self) -> None:
        """Prepare each."""
        for step in self._steps:
            step.prepare()

    def execute(self, child: Child, /) -> None:
        """Do each in turn."""
        for step in self._steps:
            step.execute(child)


class _TakeIds(Step):
    """Run as the target does; its ids are as the target's user namespace has them."""

    __slots__ = ("_target",)

    def __init__(self, target: dict[str, str]) -> None:
        self._target = target

    def describe(self) -> str:
        return "take the target's ids"

    def execute(self, child: Child, /) -> None:
        child.uid = int(self._target["Uid"].split()[1])
        child.gid = int(self._target["Gid"].split()[1])
        child.groups = tuple(map(int, self._target["Groups"].split()))


def run(request: Request) -> int:
    """Run the command and return its exit status; raises `RuntimeFailure` or OSError."""
    target = os.pidfd_open(request.pid)
    _check_identity(request)
    if membership.frozen(request.pid):
        raise FailedPrecondition(f"process {request.pid} is frozen: what joined it would stop too")
    flags = namespaces.differing(request.pid)
    if request.namespaces is not None:
        flags &= sum(
            constants.NAMESPACES[kind]
            for kind, name in constants.NAMESPACE_FILES.items()
            if name in request.namespaces
        )
    launch = Launch(_steps(request, target, flags), stdio=None)
    place = Place(pid_namespace=target if flags & constants.CLONE_NEWPID else None)
    # Until it is known whom to pass them on to, they wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    launched = launch.run(membership.join(request.pid), place)
    return _wait(launched.pidfd)


def _steps(request: Request, target: int, flags: int) -> list[Step]:
    status = _status(request.pid)
    steps: list[Step] = [joining.EnterCgroups()]
    if flags & ~constants.CLONE_NEWPID:
        steps.append(joining.JoinProcess(request.pid, target, flags & ~constants.CLONE_NEWPID))
    steps.append(ChangeRoot(request.pid, request.cwd))
    if request.terminal:
        steps.append(OwnTerminal())
    inherited = _environment(request.pid) if request.own_environment else []
    environment = (*inherited, *request.env)
    steps.append(identity.Identify(request.user, 0, 0, groups=(), env=environment))
    if request.confine:
        steps.append(Confine(status, keep_user=request.user is not None))
    elif request.user is not None:
        steps.append(identity.SwitchUser(0o022))
    ready = Ready(wait=False)
    steps.extend(
        (
            identity.FindCommand(request.command),
            identity.CloseDescriptors(ready),
            ready,
            identity.Execute(request.command),
        )
    )
    return steps


def _status(pid: int) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="surrogateescape") as file:
            pairs = (line.partition(":") for line in file)
            return {key: value.strip() for key, _, value in pairs}
    except (FileNotFoundError, ProcessLookupError):
        raise NotFound(f"process {pid} is gone") from None


def _environment(pid: int) -> list[str]:
    """Return what a process was started with; nothing where that may not be seen."""
    try:
        return _variables(os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return []


def _variables(descriptor: int) -> list[str]:
    """Read KEY=VALUEs, a NUL after each, and close the file."""
    with open(descriptor, "rb") as file:
        words = os.fsdecode(file.read()).split("\0")
    return [word for word in words if "=" in word[1:]]


def _descriptor(value: str) -> int:
    try:
        os.fstat(int(value))
    except (ValueError, OSError):
        raise InvalidArgument(f"--env-fd: {value!r} is no open file") from None
    return int(value)


def _check_identity(request: Request) -> None:
    """Make sure that the pid is still whom the caller means (proc_pid_stat(5), field 22)."""
    if request.start_ticks is None:
        return
    try:
        with open(f"/proc/{request.pid}/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        raise NotFound(f"process {request.pid} is gone") from None
    if ticks != request.start_ticks:
        raise NotFound(f"process {request.pid} is another one now")


def _wait(pidfd: int) -> int:
    """Return the child's exit status; what the terminal sends reaches the child by itself."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    for number in _FORWARDED:
        signal.signal(number, lambda which, _frame: signal.pidfd_send_signal(pidfd, which))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    result = os.waitid(constants.P_PIDFD, pidfd, os.WEXITED)
    if result is None:
        return _USAGE
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def main() -> NoReturn:
    """Run from the command line."""
    try:
        status = run(Request(sys.argv[1:]))
    except CommandNotFound as error:
        status = _complain(127, error)
    except CommandNotExecutable as error:
        status = _complain(126, error)
    except ProcessLookupError:
        status = _complain(_USAGE, NotFound("the process is gone"))
    except (RuntimeFailure, OSError) as error:
        status = _complain(_USAGE, error)
    sys.stderr.flush()
    os._exit(status)


def _complain(status: int, error: BaseException) -> int:
    sys.stderr.write(f"cinspect: {error}\n")
    return status


if __name__ == "__main__":
    main()
