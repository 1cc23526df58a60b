"""The steps that make the process the container's: session, terminal, user, capabilities, filter."""

import errno
import fcntl
import os
import socket
import stat
import struct
from typing import Final

from runtime.errors import Cancelled, CommandNotExecutable, InvalidArgument
from runtime.init import command, paths, users
from runtime.init.ready import Ready
from runtime.init.step import Child, Step
from runtime.linux import caps, constants, syscalls
from runtime.linux.syscalls import CapabilitySets

_PTMX: Final = os.makedev(5, 2)
_UNIX98_SLAVES: Final = range(136, 144)


class Terminal(Step):
    """Open a terminal of the container's own devpts and make it the controlling one."""

    __slots__ = ("_columns", "_console", "_rows")

    def __init__(self, rows: int, columns: int, *, console: bool) -> None:
        self._rows = rows
        self._columns = columns
        self._console = console

    def describe(self) -> str:
        """Say it, with the size."""
        return f"open a terminal of {self._columns}x{self._rows}"

    def execute(self, child: Child, /) -> None:
        """Ask the master for its slave (ioctl_tty(2), TIOCGPTPEER): no path to be swapped."""
        master = paths.verified_device(child.rootfs, "/dev/pts/ptmx", _PTMX)
        if syscalls.filesystem_magic(master) != constants.DEVPTS_SUPER_MAGIC:
            raise InvalidArgument("/dev/pts/ptmx: is not in a devpts filesystem")
        fcntl.ioctl(master, constants.TIOCSPTLCK, struct.pack("=i", 0))
        flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        slave = fcntl.ioctl(master, constants.TIOCGPTPEER, flags)
        if os.major(os.fstat(slave).st_rdev) not in _UNIX98_SLAVES:
            raise InvalidArgument("/dev/pts/ptmx: did not make a pseudoterminal")
        if self._rows or self._columns:
            size = struct.pack("=4H", self._rows, self._columns, 0, 0)
            fcntl.ioctl(slave, constants.TIOCSWINSZ, size)
        os.setsid()
        fcntl.ioctl(slave, constants.TIOCSCTTY, 0)
        if self._console:
            self._bind(child, slave)
        for target in range(3):
            os.dup2(slave, target)
        os.close(slave)
        socket.send_fds(child.sync, [b"C"], [master])
        os.close(master)

    @staticmethod
    def _bind(child: Child, slave: int) -> None:
        from runtime.linux import mounts  # noqa: PLC0415 - an exec does without

        place = paths.make(child.rootfs, "/dev/console", directory=False, strict=True)
        tree = mounts.open_tree(slave)
        mounts.move_mount(tree, place)
        os.close(tree)
        os.close(place)


class Streams(Step):
    """Begin a session, and put the given descriptors in the places of the standard streams."""

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "set up the standard streams"

    def execute(self, child: Child, /) -> None:
        """Copy them; the host's null device becomes the container's own."""
        os.setsid()
        if child.stdio is None:
            raise InvalidArgument("process.terminal is false, and there are no streams")
        copies = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in child.stdio]
        null = -1
        for target, source in enumerate(copies):
            status = os.fstat(source)
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3):
                if null < 0:
                    null = _own_null(child.rootfs)
                source = null if null >= 0 else source  # noqa: PLW2901 - the same stream, of the container
            os.dup2(source, target)


def _own_null(root: int) -> int:
    try:
        null = paths.null_device(root)
    except (OSError, InvalidArgument):
        return -2  # a container without /dev/null keeps the descriptor it was given
    high = fcntl.fcntl(null, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(null)
    return high


class WorkingDirectory(Step):
    """Enter the working directory and make sure it is inside; a new container's is made first."""

    __slots__ = ("_make", "_path")

    def __init__(self, path: str, *, make: bool) -> None:
        self._path = path
        self._make = make

    def describe(self) -> str:
        """Name it."""
        return f"enter the working directory {self._path}"

    def execute(self, child: Child, /) -> None:
        """Change, and ask where it is: a place outside the root has no path (CVE-2024-21626)."""
        if self._make:
            place = paths.make(child.rootfs, self._path, directory=True)
        else:
            place = paths.find(child.rootfs, self._path, flags=os.O_PATH | os.O_DIRECTORY)
        os.fchdir(place)
        os.close(place)
        if not os.getcwd().startswith("/"):
            raise InvalidArgument(f"{self._path}: leads out of the container")


class Identify(Step):
    """Find out who the command runs as, and complete its environment."""

    __slots__ = ("_environment", "_gid", "_groups", "_name", "_uid")

    def __init__(
        self, name: str | None, uid: int, gid: int, *, groups: tuple[int, ...], env: tuple[str, ...]
    ) -> None:
        self._name = name
        self._uid = uid
        self._gid = gid
        self._groups = groups
        self._environment = env

    def describe(self) -> str:
        """Name the user."""
        return f"find the user {self._name or f'{self._uid}:{self._gid}'}"

    def execute(self, child: Child, /) -> None:
        """Read the container's passwd and group; a missing HOME comes from there too."""
        child.environment = dict(_split(each) for each in self._environment)
        uid, gid, groups, home = self._uid, self._gid, self._groups, None
        if self._name is not None or "HOME" not in child.environment:
            passwd = users.read_database(child.rootfs, "/etc/passwd")
            wanted = self._name if self._name is not None else str(uid)
            group = users.read_database(child.rootfs, "/etc/group") if self._name else b""
            user = users.resolve(wanted, passwd=passwd, group=group)
            home = user.home
            if self._name is not None:
                uid, gid, groups = user.uid, user.gid, user.groups + self._groups
        child.uid, child.gid, child.groups = uid, gid, groups
        child.environment.setdefault("HOME", home or "/")


def _split(entry: str) -> tuple[str, str]:
    key, _, value = entry.partition("=")
    return key, value


class GiveStreams(Step):
    """Let the command's user open its own streams again by /dev/stdout and its like."""

    __slots__ = ("_terminal",)

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal

    def describe(self) -> str:
        """Say it."""
        return "give the standard streams to the user"

    def execute(self, child: Child, /) -> None:
        """Change the owner of pipes and of the own terminal, never of what the host shares."""
        for descriptor in range(3):
            mode = os.fstat(descriptor).st_mode
            if (self._terminal or stat.S_ISFIFO(mode)) and child.uid:
                try:
                    os.fchown(descriptor, child.uid, -1)
                except PermissionError:  # its owner is nobody of this user namespace
                    continue


class BoundingSet(Step):
    """Drop the capabilities that nothing in the container may ever have."""

    __slots__ = ("_keep",)

    def __init__(self, keep: int) -> None:
        self._keep = keep

    def describe(self) -> str:
        """Give the set as a mask."""
        return f"limit the bounding set to {self._keep:#x}"

    def execute(self, _child: Child, /) -> None:
        """Drop one by one, whether it is there or not, up to the last that this kernel knows."""
        try:
            syscalls.drop_bounding(self._keep)
        except OSError as error:
            # EPERM: without CAP_SETPCAP the set stays, which may be small enough already.
            if error.errno != errno.EINVAL and caps.bounding() & ~self._keep:
                raise


class SwitchUser(Step):
    """Become the command's user, with capabilities kept for the next step."""

    __slots__ = ("_umask",)

    def __init__(self, umask: int) -> None:
        self._umask = umask

    def describe(self) -> str:
        """Say it, with the umask."""
        return f"become the user, umask {self._umask:04o}"

    def execute(self, child: Child, /) -> None:
        """Set groups before the group, the group before the user."""
        syscalls.prctl(constants.PR_SET_KEEPCAPS, 1)
        users.change_groups(child.groups)
        os.setresgid(child.gid, child.gid, child.gid)
        os.setresuid(child.uid, child.uid, child.uid)
        syscalls.prctl(constants.PR_SET_KEEPCAPS, 0)
        # Whatever the host's fs.suid_dumpable makes of such a change (CVE-2016-9962).
        syscalls.prctl(constants.PR_SET_DUMPABLE, 0)
        os.umask(self._umask)


class Capabilities(Step):
    """Set the capability sets that are asked for.

    `kept` stay permitted until the exec, which gives nobody more than the sets say: root gets what
    is inheritable or in the bounding set, everybody else the ambient ones (capabilities(7)).
    """

    __slots__ = ("_ambient", "_kept", "_sets")

    def __init__(self, sets: CapabilitySets, ambient: int, *, kept: int = 0) -> None:
        self._sets = sets
        self._ambient = ambient
        self._kept = kept

    def describe(self) -> str:
        """Give the sets as masks."""
        effective, permitted, inheritable = self._sets
        return (
            f"set capabilities: effective {effective:#x} permitted {permitted:#x} "
            f"inheritable {inheritable:#x} ambient {self._ambient:#x}"
        )

    def execute(self, _child: Child, /) -> None:
        """Set three at once, and the ambient ones after."""
        syscalls.capset(self._sets._replace(permitted=self._sets.permitted | self._kept))
        syscalls.prctl(constants.PR_CAP_AMBIENT, constants.PR_CAP_AMBIENT_CLEAR_ALL)
        for number in range(self._ambient.bit_length()):
            if self._ambient >> number & 1:
                syscalls.prctl(constants.PR_CAP_AMBIENT, constants.PR_CAP_AMBIENT_RAISE, number)


class NoNewPrivileges(Step):
    """Let no set-user-id program or file capability add privileges, for ever."""

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "set no_new_privs"

    def execute(self, _child: Child, /) -> None:
        """Set it."""
        syscalls.prctl(constants.PR_SET_NO_NEW_PRIVS, 1)


class Seccomp(Step):
    """Load the filter of system calls."""

    __slots__ = ("_flags", "_listens", "_needed", "_program")

    def __init__(self, program: bytes, flags: int, listens: bool, needed: int = 0) -> None:  # noqa: FBT001 - of a tuple
        """`needed` are the capabilities without which it cannot be loaded."""
        self._program = program
        self._flags = flags
        self._listens = listens
        self._needed = needed

    def describe(self) -> str:
        """Give its length."""
        listener = " with a listener" if self._listens else ""
        return f"load a seccomp filter of {len(self._program) // 8} instructions{listener}"

    def execute(self, child: Child, /) -> None:
        """Load it; the parent takes the listener's descriptor, as sending it might be filtered."""
        if self._needed:
            held = syscalls.capget()
            syscalls.capset(held._replace(effective=held.effective | self._needed))
        if not self._listens:
            syscalls.seccomp_filter(self._program, self._flags)
            return
        flags = self._flags | constants.SECCOMP_FILTER_FLAG_NEW_LISTENER
        listener = syscalls.seccomp_filter(self._program, flags)
        os.write(child.sync.fileno(), b"N%d" % listener)
        if os.read(child.sync.fileno(), 16) != b"M":
            raise Cancelled("the parent is gone")
        os.close(listener)


class FindCommand(Step):
    """Look the command up as the user that will run it."""

    __slots__ = ("_arguments",)

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self._arguments = arguments

    def describe(self) -> str:
        """Name it."""
        return f"find the command {self._arguments[0] if self._arguments else ''}"

    def execute(self, child: Child, /) -> None:
        """Search the container's PATH."""
        child.executable = command.find(self._arguments, child.environment.get("PATH"))


class CloseDescriptors(Step):
    """Really close everything but the streams, the parent's socket, and what is to be handed on."""

    __slots__ = ("_preserve", "_ready")

    def __init__(self, ready: Ready, *, preserve: int = 0) -> None:
        self._ready = ready
        self._preserve = preserve

    def describe(self) -> str:
        """Say it, with the number of those that the command gets."""
        more = f" but {self._preserve}" if self._preserve else ""
        return f"close all other descriptors{more}"

    def execute(self, child: Child, /) -> None:
        """Close around what is needed until the start; what is preserved is from 3 on."""
        first = 3 + self._preserve
        for each in range(3, first):
            os.set_inheritable(each, True)  # noqa: FBT003 - its only form
        kept = sorted(
            each for each in (child.sync.fileno(), *self._ready.descriptors) if each >= first
        )
        for each in kept:
            if first < each:
                syscalls.close_range(first, each - 1)
            first = each + 1
        syscalls.close_range(first, 0x7FFFFFFF)
        child.rootfs = -1


class Execute(Step):
    """Become the command, with no signal blocked or ignored."""

    __slots__ = ("_arguments",)

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self._arguments = arguments

    def describe(self) -> str:
        """Name it."""
        return f"execute {self._arguments[0]}"

    def execute(self, child: Child, /) -> None:
        """Never returns."""
        try:
            os.execve(child.executable, self._arguments, child.environment)  # noqa: S606 - the whole point
        except OSError as error:
            raise CommandNotExecutable(f"{self._arguments[0]}: {error.strerror}") from None
