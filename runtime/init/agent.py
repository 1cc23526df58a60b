"""Hand the listener of a seccomp filter to the agent that answers for it (config-linux.md, "Seccomp")."""

import json
import socket

from runtime.errors import InvalidArgument, Unavailable
from runtime.formats.spec import Spec
from runtime.init.hooks import State


def tell(profile: Spec, told: State, listener: int) -> None:
    """Send the descriptor with the state of the container process to `listenerPath`.

    Raises `Unavailable` if nobody listens there: the process would wait for ever.
    """
    path = profile.get("listenerPath")
    if not path:
        raise InvalidArgument("linux.seccomp.listenerPath: SCMP_ACT_NOTIFY needs it")
    message = {
        "ociVersion": told["ociVersion"],
        "fds": ["seccompFd"],
        "pid": told["pid"],
        "metadata": profile.get("listenerMetadata") or "",
        "state": told,
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
            socket.send_fds(connection, [json.dumps(message).encode()], [listener])
        except OSError as error:
            raise Unavailable(f"linux.seccomp.listenerPath: {path}: {error.strerror}") from None
