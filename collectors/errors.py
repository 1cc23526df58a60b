"""What can go wrong while collecting, as data and as exceptions."""

from typing import Literal

from msgspec import Struct

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

    kind = "missing"


class Denied(CollectError):  # noqa: N818 - as above
    """This user may not read it: EACCES or EPERM."""

    kind = "denied"


class Gone(CollectError):  # noqa: N818 - as above
    """It went away between two reads: ESRCH, ENODEV, or ENOENT below something that was there."""

    kind = "gone"


class Unavailable(CollectError):  # noqa: N818 - as above
    """The source is there and does not answer."""
