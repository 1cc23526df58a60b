"""The classes of failure: containerd's errdefs, one for each gRPC status a caller can act on.

Each class carries the google.rpc code that it crosses the wire as
(https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto).

The shim imports this module, and `typing` is a third of its start: so there is no `ClassVar` here.
"""


class RuntimeFailure(Exception):  # noqa: N818 - its subclasses say what happened, not "error"
    """Base of everything the runtime raises; the message names the thing and the reason."""

    code: int = 2


class Cancelled(RuntimeFailure):
    """The caller gave up."""

    code = 1


class InvalidArgument(RuntimeFailure):
    """What was asked for can never be done as it was asked."""

    code = 3


class DeadlineExceeded(RuntimeFailure):
    """There was no answer in time."""

    code = 4


class NotFound(RuntimeFailure):
    """No such container, process, image, snapshot or blob."""

    code = 5


class CommandNotFound(NotFound):
    """The container has no such executable: exit status 127."""


class AlreadyExists(RuntimeFailure):
    """The name or id is taken."""

    code = 6


class PermissionDenied(RuntimeFailure):
    """This user may not do it."""

    code = 7


class CommandNotExecutable(PermissionDenied):
    """The container's executable cannot be run: exit status 126."""


class ResourceExhausted(RuntimeFailure):
    """A limit was reached: a size, a quota, a number of descriptors."""

    code = 8


class FailedPrecondition(RuntimeFailure):
    """The thing is not in a state that allows it, as in an exec in a stopped container."""

    code = 9


class Aborted(RuntimeFailure):
    """Somebody else changed it at the same time; trying again may do."""

    code = 10


class Unimplemented(RuntimeFailure):
    """The peer, or this kernel, cannot do it."""

    code = 12


class Internal(RuntimeFailure):
    """A step failed that should have worked; the message says which and why."""

    code = 13


class Unavailable(RuntimeFailure):
    """The peer is not there, or not any more."""

    code = 14


class ProtocolError(RuntimeFailure):
    """The peer broke the wire protocol."""

    code = 3


class FormatError(RuntimeFailure):
    """A file did not have the format that its documentation gives it."""

    code = 15


BY_CODE: dict[int, type[RuntimeFailure]] = {
    kind.code: kind
    for kind in (
        RuntimeFailure,
        Cancelled,
        InvalidArgument,
        DeadlineExceeded,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Aborted,
        Unimplemented,
        Internal,
        Unavailable,
        FormatError,
    )
}
"""From a wire status to the class to raise; an unknown one is `RuntimeFailure`."""
