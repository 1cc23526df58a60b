"""The steps that enter cgroups and namespaces, first of all."""

import fcntl
import os
import socket
import struct
from typing import NamedTuple

from runtime.errors import Cancelled, FailedPrecondition, InvalidArgument
from runtime.init import procfs, users
from runtime.init.step import Child, Step
from runtime.linux import constants, idmap, syscalls


class EnterCgroups(Step):
    """Enter the v1 cgroups by the files that the parent has opened, or ask to be put into v2's."""

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "enter the cgroups"

    def execute(self, child: Child, /) -> None:
        """Write 0, which is oneself: a lone thread moves without waiting for others."""
        for descriptor in child.tasks:
            os.write(descriptor, b"0")
        if child.stranded:
            child.sync.send(b"A")
            _await(child)


class AwaitIdMap(Step):
    """Wait until the parent has written the id maps, and become root by them."""

    __slots__ = ("_readable",)

    def __init__(self) -> None:
        self._readable = False

    def describe(self) -> str:
        """Say it."""
        return "become root of the user namespace"

    def prepare(self) -> None:
        """Find out whether the parent is a user: whom the kernel lets write its own files alone."""
        self._readable = os.geteuid() != 0

    def execute(self, child: Child, /) -> None:
        """Tell the parent, wait, and change all ids."""
        if self._readable:
            syscalls.prctl(constants.PR_SET_DUMPABLE, 1)
        child.sync.send(b"U")
        _await(child)
        become(0, 0)


def _await(child: Child) -> None:
    if child.sync.recv(16) != b"M":
        raise Cancelled("the parent is gone")


def become(uid: int, gid: int) -> None:
    """Take ids of the user namespace that was just entered, and no groups."""
    users.change_groups(())
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    # Changing ids has made the process what it was before: readable by others of that user.
    syscalls.prctl(constants.PR_SET_DUMPABLE, 0)


class JoinNamespace(Step):
    """Enter a namespace that is there already."""

    __slots__ = ("_descriptor", "_kind", "_path")

    def __init__(self, kind: str, path: str) -> None:
        self._kind = kind
        self._path = path
        self._descriptor = -1

    def describe(self) -> str:
        """Name its type and path."""
        return f"join the {self._kind} namespace {self._path}"

    def prepare(self) -> None:
        """Open it where the path means what the caller meant."""
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def release(self) -> None:
        """Close it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def execute(self, _child: Child, /) -> None:
        """Enter; the kernel refuses one of another type."""
        syscalls.setns(self._descriptor, constants.NAMESPACES[self._kind])


class JoinPids(JoinNamespace):
    """Enter a pid namespace, and go on in it as a new process."""

    __slots__ = ()

    def execute(self, child: Child, /) -> None:
        """Enter, and clone: only children are in it."""
        super().execute(child)
        go_on(child)


class JoinUser(Step):
    """Enter a user namespace, and go on as a new process that owns its other new namespaces.

    The process before it, which enters everything else while it still may, ends.
    """

    __slots__ = ("_descriptors", "_flags", "_paths")

    def __init__(self, path: str, *, flags: int, pid_path: str | None) -> None:
        self._paths = (path, pid_path)
        self._flags = flags
        self._descriptors: list[int] = []

    def describe(self) -> str:
        """Name the path."""
        return f"join the user namespace {self._paths[0]}"

    def prepare(self) -> None:
        """Open it, and a pid namespace to join if there is one."""
        for path in self._paths:
            if path is not None:
                self._descriptors.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def release(self) -> None:
        """Close them."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def execute(self, child: Child, /) -> None:
        """Fork as a child of the parent's, and go on when the parent knows whom to wait for."""
        user, *pids = self._descriptors
        if os.geteuid() == 0:
            users.change_groups(())  # inside it may be forbidden
        syscalls.setns(user, constants.CLONE_NEWUSER)
        become(0, 0)
        for descriptor in pids:
            syscalls.setns(descriptor, constants.CLONE_NEWPID)
        go_on(child, self._flags)


def go_on(child: Child, flags: int = 0) -> None:
    """Go on as a new process, a child of the parent's, when that knows whom to wait for."""
    cloned = syscalls.clone3(flags | constants.CLONE_PARENT, exit_signal=0)
    if cloned.pid:
        socket.send_fds(child.sync, [b"F%d" % cloned.pid], [cloned.pidfd])
        os._exit(0)
    _await(child)


class JoinProcess(Step):
    """Enter namespaces of a process, all at once; into one of pids, as a new process."""

    __slots__ = ("_flags", "_ids", "_pid", "_pidfd")

    def __init__(self, pid: int, pidfd: int, flags: int) -> None:
        self._pid = pid
        self._pidfd = pidfd
        self._flags = flags
        self._ids = (0, 0)

    def describe(self) -> str:
        """Name the process and the flags."""
        return f"join the namespaces {self._flags:#x} of process {self._pid}"

    def prepare(self) -> None:
        """Find out who there is to be: root, or where the map lacks it, whom the process is."""
        if self._flags & constants.CLONE_NEWUSER:
            self._ids = (idmap.root_of(self._pid, "uid"), idmap.root_of(self._pid, "gid"))

    def execute(self, child: Child, /) -> None:
        """Enter; the root directory becomes that of the mount namespace."""
        if self._flags & constants.CLONE_NEWUSER and os.geteuid() != 0:
            # Only its owner's rights count, and only inside; then groups, while /proc is the host's.
            syscalls.setns(self._pidfd, constants.CLONE_NEWUSER)
            become(*self._ids)
            syscalls.setns(self._pidfd, self._flags & ~constants.CLONE_NEWUSER)
        else:
            self._enter()
        if self._flags & constants.CLONE_NEWPID:
            go_on(child)
        child.rootfs = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def _enter(self) -> None:
        if self._flags & constants.CLONE_NEWUSER:
            users.change_groups(())  # inside it may be forbidden
        try:
            syscalls.setns(self._pidfd, self._flags)
        except PermissionError:
            # A sandbox may have gone on into a user namespace below the one that owns the others.
            if not self._flags & constants.CLONE_NEWUSER:
                raise
            syscalls.setns(self._pidfd, self._flags & ~constants.CLONE_NEWUSER)
            syscalls.setns(self._pidfd, constants.CLONE_NEWUSER)
        if self._flags & constants.CLONE_NEWUSER:
            become(*self._ids)


class PrivateCgroups(Step):
    """Make what the process is in the root of a new cgroup namespace."""

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "unshare the cgroup namespace"

    def execute(self, _child: Child, /) -> None:
        """Unshare, now that the cgroups are entered."""
        syscalls.unshare(constants.CLONE_NEWCGROUP)


class Keyring(Step):
    """Leave the host's session keyring."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def describe(self) -> str:
        """Name the new one."""
        return f"join the session keyring {self._name}"

    def execute(self, _child: Child, /) -> None:
        """Join one of its own; a kernel without keyrings has none to leave."""
        try:
            syscalls.join_session_keyring(self._name)
        except OSError as error:
            if error.errno != 38:  # ENOSYS
                raise


class Names(Step):
    """Set the host name and the NIS domain name."""

    __slots__ = ("_domainname", "_hostname")

    def __init__(self, hostname: str, domainname: str) -> None:
        self._hostname = hostname
        self._domainname = domainname

    def describe(self) -> str:
        """Give the names."""
        domain = f", domain name {self._domainname}" if self._domainname else ""
        return f"set the host name {self._hostname}{domain}"

    def execute(self, _child: Child, /) -> None:
        """Set what is given."""
        if self._hostname:
            syscalls.sethostname(self._hostname)
        if self._domainname:
            syscalls.setdomainname(self._domainname)


class Loopback(Step):
    """Bring up `lo` in the new network namespace."""

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "bring up the loopback interface"

    def execute(self, _child: Child, /) -> None:
        """Add IFF_UP to its flags (netdevice(7))."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
            request = struct.pack("=16sh14x", b"lo", 0)
            answer = fcntl.ioctl(control, constants.SIOCGIFFLAGS, request)
            (flags,) = struct.unpack_from("=h", answer, 16)
            request = struct.pack("=16sh14x", b"lo", flags | constants.IFF_UP)
            fcntl.ioctl(control, constants.SIOCSIFFLAGS, request)


class Rlimit(Step):
    """Set one resource limit."""

    __slots__ = ("_hard", "_kind", "_soft")

    def __init__(self, kind: str, soft: int, hard: int) -> None:
        if kind not in _RLIMITS:
            raise InvalidArgument(f"process.rlimits: the type {kind!r} is unknown")
        self._kind = kind
        self._soft = soft
        self._hard = hard

    def describe(self) -> str:
        """Name it, with both values."""
        return f"process.rlimits: set {self._kind} to {self._soft}:{self._hard}"

    def execute(self, _child: Child, /) -> None:
        """Set it."""
        self.apply(0)

    def apply(self, pid: int) -> None:
        """Set it for a process: 0 is oneself."""
        syscalls.prlimit(pid, _RLIMITS[self._kind], self._soft, self._hard)


_RLIMITS = {
    f"RLIMIT_{name}": number
    for number, name in enumerate(
        (
            *("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE"),
            *("MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"),
        )
    )
}
"""By number (asm-generic/resource.h)."""


class SecurityModule(NamedTuple):
    """Where a security module takes the label of the program to be executed."""

    name: str
    present: str
    """A file that is there where the module is in use; AppArmor's says N where it is switched off."""
    form: str

    def need(self, key: str, label: str) -> None:
        """Refuse where it is not in use: running without it would be less than asked."""
        try:
            with open(self.present, "rb") as file:
                used = file.read(1) != b"N"
        except OSError:
            used = False
        if not used:
            raise FailedPrecondition(
                f"{key}: the {self.name} label {label} is asked for, but this host does not use "
                f"{self.name}"
            )


APPARMOR = SecurityModule("AppArmor", "/sys/module/apparmor/parameters/enabled", "exec {}")
SELINUX = SecurityModule("SELinux", "/sys/fs/selinux/status", "{}")


class Label(Step):
    """Have the command run under a security module's label."""

    __slots__ = ("_key", "_label", "_module")

    def __init__(self, module: SecurityModule, key: str, label: str) -> None:
        self._module = module
        self._key = key
        self._label = label

    def describe(self) -> str:
        """Name module and label."""
        return f"{self._key}: use the {self._module.name} label {self._label}"

    def prepare(self) -> None:
        """Refuse where the module is not in use."""
        self._module.need(self._key, self._label)

    def execute(self, child: Child, /) -> None:
        """Write it where nothing of the container can be; it takes effect at the exec."""
        procfs.write(child.procfs, "self/attr/exec", self._module.form.format(self._label))


class OomScore(Step):
    """Say how readily the kernel should kill the container for lack of memory."""

    __slots__ = ("_value",)

    def __init__(self, value: int) -> None:
        self._value = value

    def describe(self) -> str:
        """Give the value."""
        return f"process.oomScoreAdj: set it to {self._value}"

    def execute(self, _child: Child, /) -> None:
        """Write it while /proc is still the host's."""
        host = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            procfs.write(host, "self/oom_score_adj", str(self._value))
        finally:
            os.close(host)
