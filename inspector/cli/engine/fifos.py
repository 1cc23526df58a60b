"""The named pipes between a client and a shim: private, never in anybody's way, gone with the client."""

import contextlib
import os
import stat
from types import TracebackType
from typing import Final, Self

from inspector.errors import Failure
from runtime.types import Stdio

_STREAMS: Final = ("stdin", "stdout", "stderr")


class Fifos:
    """FIFOs in a directory of this process alone (0700), and this side's descriptors of them.

    All are non-blocking. stdin is opened for reading too, so that opening it needs no reader and
    writing to it raises no SIGPIPE: a shim that died is noticed by its container's end.
    """

    def __init__(self, state: str, *, stdin: bool, stderr: bool) -> None:
        self._state = state
        self._parent = _clients(state)
        self._wanted = {"stdin": stdin, "stdout": True, "stderr": stderr}
        self._directory: str | None = None
        self._descriptors: dict[str, int] = {}

    def __enter__(self) -> Self:
        try:
            self._make()
        except OSError as error:
            self.close()
            where = error.filename or self._parent
            raise Failure(
                f"cannot make pipes for the container: {where}: {error.strerror}"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def stdio(self) -> Stdio:
        """The paths, for the engine."""
        paths = {name: self._path(name) for name in self._descriptors}
        return Stdio(paths.get("stdin"), paths.get("stdout"), paths.get("stderr"))

    def descriptor(self, name: str) -> int | None:
        """Return this side's descriptor of `stdin`, `stdout` or `stderr`; None if there is none."""
        return self._descriptors.get(name)

    def close_stdin(self) -> None:
        """Close this side of stdin."""
        descriptor = self._descriptors.pop("stdin", None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Close this side and remove the files; the shim's side lives on."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()
        if self._directory is not None:
            _remove(self._directory)
            self._directory = None

    def _make(self) -> None:
        os.makedirs(os.path.dirname(self._parent), mode=0o755, exist_ok=True)
        try:
            os.mkdir(self._parent, 0o700)
        except FileExistsError:
            _check_own(self._parent)
        sweep(self._state)
        own = f"{os.getpid()}-{_start_ticks(os.getpid())}-{os.urandom(4).hex()}"
        self._directory = os.path.join(self._parent, own)
        os.mkdir(self._directory, 0o700)
        for name in _STREAMS:
            if self._wanted[name]:
                self._open(name)

    def _open(self, name: str) -> None:
        path = self._path(name)
        os.mkfifo(path, 0o600)
        mode = os.O_RDWR if name == "stdin" else os.O_RDONLY
        self._descriptors[name] = os.open(path, mode | os.O_NONBLOCK | os.O_CLOEXEC)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory or self._parent, name)


def sweep(state: str) -> None:
    """Remove what clients left that were killed; a live client's directory stays."""
    parent = _clients(state)
    for entry in os.listdir(parent) if os.path.isdir(parent) else ():
        pid, _, rest = entry.partition("-")
        ticks = rest.partition("-")[0]
        if pid.isdigit() and _start_ticks(int(pid)) != ticks:
            _remove(os.path.join(parent, entry))


def _remove(directory: str) -> None:
    """Remove a client's directory, of which only FIFOs are made; another process may do the same."""
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)


def _clients(state: str) -> str:
    return os.path.join(state, "clients")


def _start_ticks(pid: int) -> str:
    """Return when a process started, as proc(5)'s stat has it (field 22); empty if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            data = file.read()
    except OSError:
        return ""
    return data.rpartition(b")")[2].split()[19].decode()


def _check_own(path: str) -> None:
    found = os.stat(path, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise Failure(f"{path} is not a private directory of this user; remove it and try again")
