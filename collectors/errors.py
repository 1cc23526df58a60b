"""What can go wrong while collecting, as data and as exceptions."""

from typing import Literal

from msgspec import Struct

from runtime.errors import FormatError

Kind = Literal["missing", "denied", "gone", "timeout", "format", "unavailable", "bug"]


class Problem(Struct, frozen=True):
    """Something that could not be read: partial answers are normal here, silent ones are not.

    `path` is the file, socket or source; `operation` the call that failed, as "open" or "read".
    """

    path: str
    operation: str
    error: Kind
    message: str


class CollectError(Exception):
    """Base of everything a collector raises on purpose."""

    kind: Kind = "unavailable"

    def __init__(self, path: str, operation: str, message: str) -> None:
        super().__init__(f"{path}: {operation}: {message}")
        self.path = path
        self.operation = operation
        self.message = message

    def problem(self) -> Problem:
        """Return it as data."""
        return Problem(self.path, self.operation, self.kind, self.message)


class Missing(CollectError):  # noqa: N818 - named as what it says, like FileNotFoundError's short form
    """The host does not have it: ENOENT, not mounted, not built in."""

    kind: Kind = "missing"


class Denied(CollectError):  # noqa: N818 - as above
    """This user may not read it: EACCES or EPERM."""

    kind: Kind = "denied"


class Gone(CollectError):  # noqa: N818 - as above
    """It went away between two reads: ESRCH, ENODEV, or ENOENT below something that was there."""

    kind: Kind = "gone"


class Unavailable(CollectError):  # noqa: N818 - as above
    """The source is there and does not answer."""


class Unsupported(CollectError):  # noqa: N818 - as above
    """The file is there, and this kernel or this cgroup cannot do it: EINVAL, EOPNOTSUPP."""


class Problems:
    """Gathers one reading's problems: a thousand of one kind are one, which counts them.

    Without that, a user without root would get one for each file of each foreign process. The
    first of a kind stands for all; of one kind are those of the same file name, operation and reason.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, str, Kind, str], Problem] = {}
        self._count: dict[tuple[str, str, Kind, str], int] = {}

    def add(self, problem: Problem) -> None:
        """Add one."""
        file = problem.path.rpartition("/")[2]
        key = ("" if file.isdigit() else file, problem.operation, problem.error, problem.message)
        self._first.setdefault(key, problem)
        self._count[key] = self._count.get(key, 0) + 1

    def failed(self, error: CollectError) -> None:
        """Add what could not be read."""
        self.add(error.problem())

    def malformed(self, path: str, error: FormatError) -> None:
        """Add a file that was read and not understood; `path` is absolute within the root."""
        self.add(Problem(path, "parse", "format", str(error)))

    def all(self) -> tuple[Problem, ...]:
        """Return them in the order in which each kind was met first."""
        return tuple(
            problem
            if self._count[key] == 1
            else Problem(
                problem.path,
                problem.operation,
                problem.error,
                f"{problem.message} ({self._count[key]} such files, this is the first)",
            )
            for key, problem in self._first.items()
        )
