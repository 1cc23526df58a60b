"""Where the engine keeps its things: what must last below `root`, what a boot ends below `state`."""

import contextlib
import os
from dataclasses import dataclass
from typing import Final

from runtime.brief import sha256
from runtime.errors import PermissionDenied

SOCKET_PATH_LIMIT: Final = 106
"""Characters of a unix socket's path: sun_path's 108 (unix(7)) less a NUL and one to spare."""

DEFAULT_ROOT: Final = "/var/lib/cinspect"
DEFAULT_STATE: Final = "/run/cinspect"


def default_root() -> str:
    """Return where data lasts: for root in /var/lib, for others as XDG says."""
    if os.geteuid() == 0:
        return DEFAULT_ROOT
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(home, "cinspect")


def default_state() -> str:
    """Return where sockets and bundles live until the next boot."""
    if os.geteuid() == 0:
        return DEFAULT_STATE
    directory = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/cinspect-{os.geteuid()}"  # noqa: S108  # 0700, checked by whoever makes it
    return os.path.join(directory, "cinspect")


@dataclass(frozen=True, slots=True)
class Paths:
    """Every path of one engine namespace; computing one touches no disk."""

    root: str
    state: str
    namespace: str = "default"

    @property
    def database(self) -> str:
        """The records of containers and snapshots."""
        return os.path.join(self.root, "metadata.db")

    @property
    def snapshots(self) -> str:
        """The directory of all layers."""
        return os.path.join(self.root, "snapshots")

    @property
    def journal(self) -> str:
        """The file that events are appended to."""
        return os.path.join(self.state, "events", "journal.ndjson")

    def container(self, container_id: str) -> str:
        """The directory of what lasts of a container: its spec, its log, how it ended."""
        return os.path.join(self.root, "containers", self.namespace, container_id)

    def spec(self, container_id: str) -> str:
        """The OCI spec that each start copies into the bundle."""
        return os.path.join(self.container(container_id), "config.json")

    def log(self, container_id: str) -> str:
        """What the container wrote, in the CRI log format."""
        return os.path.join(self.container(container_id), "container.log")

    def exit(self, container_id: str) -> str:
        """How the container's last task ended; its shim writes it."""
        return os.path.join(self.container(container_id), "exit.json")

    def bundle(self, container_id: str) -> str:
        """The shim's working directory."""
        return os.path.join(self.state, "tasks", self.namespace, container_id)

    def socket(self, container_id: str) -> str:
        """The shim's socket, below a hashed directory of /run if the state directory is too deep."""
        digest = sha256(
            "/".join((os.path.abspath(self.state), self.namespace, container_id)).encode()
        ).hexdigest()
        path = os.path.join(os.path.abspath(self.state), "s", digest[:32])
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        base = "/run" if os.geteuid() == 0 else f"/tmp/cinspect-{os.geteuid()}"  # noqa: S108  # 0700, checked by whoever makes it
        return os.path.join(base, "cinspect-s", digest[:32])


def make_private(path: str) -> None:
    """Make a directory with mode 0700 (its parents 0755) or find one that is ours.

    Raises `PermissionDenied` if it belongs to somebody else or is no directory: another user could
    have made it to catch our sockets.
    """
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        found = os.stat(path, follow_symlinks=False)
    except OSError as error:
        raise PermissionDenied(f"cannot make {path}: {error.strerror}") from error
    if found.st_uid != os.geteuid() or not _is_directory(found.st_mode):
        raise PermissionDenied(f"{path} is not a directory of user {os.geteuid()}")


def _is_directory(mode: int) -> bool:
    return mode & 0o170000 == 0o040000
