"""What the setting up of a container is made of: steps, and the state they share in the child."""

import errno
import os
import socket

from runtime.errors import RuntimeFailure


class Child:
    """What the steps have found out so far, on the child's side of the clone."""

    __slots__ = (
        "environment",
        "executable",
        "gid",
        "groups",
        "ignored",
        "inside",
        "pid",
        "procfs",
        "report",
        "rootfs",
        "stdio",
        "stranded",
        "sync",
        "tasks",
        "top",
        "uid",
    )

    def __init__(self, *, sync: socket.socket, tasks: tuple[int, ...]) -> None:
        self.sync = sync
        """The socket to the parent."""
        self.tasks = tasks
        """The files of v1 cgroups to enter by."""
        self.stranded = False
        """Whether it must ask to be put into its cgroup."""
        self.inside = False
        """Whether the root is the container's before its proc filesystem is there."""
        self.ignored = 0
        """The signals that the parent ignores, a bit each."""
        self.pid = 0
        """Its pid as the parent sees it, once the parent has said so."""
        self.rootfs = -1
        """The root directory, opened as a path: of the container to be, later of everything."""
        self.top = -1
        """The root of the mount namespace; the container's is attached over it until the pivot."""
        self.procfs = -1
        """A proc filesystem that nothing of the container covers, where a step has opened one."""
        self.stdio: tuple[int, int, int] | None = None
        self.report = sync.fileno()
        """Where a failure is told: the parent's socket, later perhaps what a start listens to."""
        self.uid = 0
        self.gid = 0
        self.groups: tuple[int, ...] = ()
        self.environment: dict[str, str] = {}
        self.executable = ""


class Step:
    """One thing to do to become the container.

    `prepare` and `release` run in the parent, before and after the clone; `execute` in the child.
    """

    __slots__ = ()

    def describe(self) -> str:
        """Say what the step does, with the path or name it does it to."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Open what only the parent can reach."""

    def release(self) -> None:
        """Close what `prepare` opened."""

    def execute(self, child: Child, /) -> None:
        """Do it; raises OSError or a `RuntimeFailure`."""
        raise NotImplementedError


class StepFailure(Exception):  # noqa: N818 - it is the report of a failure
    """A step failed: which, and how."""

    def __init__(self, step: Step, cause: OSError | RuntimeFailure) -> None:
        super().__init__(explain(step.describe(), cause))
        self.cause = cause


def explain(what: str, cause: BaseException) -> str:
    """Return one line: the step, the call or path, and the kernel's words."""
    if isinstance(cause, OSError) and cause.errno is not None:
        where = (
            f"{os.fsdecode(cause.filename)}: " if isinstance(cause.filename, str | bytes) else ""
        )
        # clone3(2): it is of CLONE_INTO_CGROUP alone (cgroup-v2.rst, "Delegation Containment").
        into = cause.filename == "clone3" and cause.errno == errno.EACCES
        why = "no process may be moved from this one's cgroup to the container's: " if into else ""
        return f"{what}: {where}{why}{cause.strerror or os.strerror(cause.errno)}"
    return f"{what}: {cause}"
