"""What is known of the containers between two calls: a directory each below --root.

| file | content |
| --- | --- |
| `state.json` | `Record`, replaced in one step |
| `config.json` | the spec as it was when the container was made: later edits change nothing |
| `exec.fifo`, `report.fifo` | there until the container is started (`runtime.init.ready`) |

The directory itself is locked (flock(2)) by whoever changes something.
"""

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Generator, Mapping
from typing import Any, Final

from runtime.cgroups.manager import Manager
from runtime.command import cgroups, rights
from runtime.command.arguments import Request
from runtime.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    FormatError,
    InvalidArgument,
    NotFound,
)
from runtime.formats.spec import Spec
from runtime.init.ready import START

_ID: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-")
_LONGEST_ID: Final = 255  # a directory's name (path_resolution(7))
_MAX_JSON: Final = 16 << 20
_LOCK_SECONDS: Final = 30.0


def read_json(path: str, *, streams: bool = False) -> dict[str, Any]:
    """Return a file's JSON object; raises `NotFound`, or `FormatError` naming the file.

    With `streams` it may be a pipe, which is waited for: for one that the user names, as runc takes.
    """
    waits = 0 if streams else os.O_NONBLOCK
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | waits)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{path}: no such file") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and not (streams and stat.S_ISFIFO(mode)):
            raise FormatError(f"{path}: is not a regular file")
        data = b""
        while len(data) <= _MAX_JSON and (part := os.read(descriptor, 1 << 20)):
            data += part
    finally:
        os.close(descriptor)
    return parse_json(data, path)


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object that is in bytes, or raise `FormatError` saying what is none."""
    if len(data) > _MAX_JSON:
        raise FormatError(f"{what}: is larger than {_MAX_JSON} bytes")
    try:
        value: Any = json.loads(data)
    except ValueError as error:
        raise FormatError(f"{what}: is not JSON: {error}") from None
    except RecursionError:
        raise FormatError(f"{what}: is nested too deeply") from None
    if not isinstance(value, dict):
        raise FormatError(f"{what}: is not a JSON object")
    return value  # pyright: ignore[reportUnknownVariableType]  # its keys are what JSON says


def write_file(path: str, data: bytes, *, mode: int = 0o600) -> None:
    """Replace a file in one step: a reader sees the old or the new one, never half of one."""
    temporary = f"{path}.{os.getpid()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, mode)
    try:
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it has ended.

    With the pid it names one process for ever: field 22 of /proc/PID/stat (proc_pid_stat(5)).
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        fields = os.read(descriptor, 4096).rpartition(b")")[2].split()
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
    return None if len(fields) < 20 or fields[0] in {b"Z", b"X"} else int(fields[19])


def now() -> str:
    """Return the time as RFC 3339 has it, with nanoseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{nanoseconds:09d}Z", time.gmtime(seconds))


class Record:
    """What is written down of one container."""

    __slots__ = (
        "annotations",
        "bundle",
        "cgroup",
        "created",
        "id",
        "pid",
        "resctrl",
        "rootfs",
        "session",
        "ticks",
        "unit",
        "version",
    )

    def __init__(self, container_id: str) -> None:
        self.id = container_id
        self.version = ""
        """The spec's `ociVersion`."""
        self.bundle = ""
        self.rootfs = ""
        self.cgroup = ""
        """Its path below each hierarchy's root; empty without cgroups."""
        self.unit = ""
        """Its unit of systemd; empty where the cgroups were made without."""
        self.session = False
        """Whether that is the user's own systemd."""
        self.created = ""
        self.pid = 0
        """The init's; 0 while there is none yet."""
        self.ticks = 0
        """When that process started, in clock ticks since boot."""
        self.annotations: Mapping[str, str] = {}
        self.resctrl: dict[str, Any] = {}
        """What `resctrl.Group` is made of; empty without a class of service."""

    def encode(self) -> bytes:
        """Return what is in `state.json`."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def decode(cls, value: Mapping[str, Any], path: str) -> "Record":
        """Return what `encode` has written; raises `FormatError` for anything else."""
        record = cls("")
        for name in cls.__slots__:
            found = value.get(name, {} if name == "resctrl" else None)  # which came later
            if not isinstance(found, type(getattr(record, name))):
                raise FormatError(f"{path}: {name} is missing or wrong")
            setattr(record, name, found)
        return record


class Container:
    """One container's directory, and what it says."""

    def __init__(self, directory: str, record: Record) -> None:
        self.directory = directory
        self.record = record
        self._cgroup: Manager | None = None

    def found(self, cgroup: Manager) -> None:
        """Be told of its cgroups, so that they need not be looked for on this host once more."""
        if cgroup.path == self.record.cgroup and not self.record.unit:
            self._cgroup = cgroup

    @property
    def cgroup(self) -> Manager:
        """Its cgroups."""
        if self._cgroup is None:
            self._cgroup = cgroups.recorded(self.record)
        return self._cgroup

    def spec(self) -> Spec:
        """Return the spec that it was made by."""
        return read_json(f"{self.directory}/config.json")

    def save(self) -> None:
        """Write the record down."""
        write_file(f"{self.directory}/state.json", self.record.encode())

    def written_down(self, pid: int) -> None:
        """Take note of the init, before anybody else can."""
        self.record.pid, self.record.ticks = pid, start_ticks(pid) or 0
        self.save()

    def alive(self) -> bool:
        """Tell whether its init has not ended."""
        return bool(self.record.pid) and start_ticks(self.record.pid) == self.record.ticks

    def status(self) -> str:
        """Return `creating`, `created`, `running`, `paused` or `stopped` (runtime.md, "State")."""
        if not self.record.pid and _locked(self.directory):
            return "creating"
        if not self.alive():
            return "stopped"
        if self.cgroup.frozen():
            return "paused"
        return "created" if os.path.exists(f"{self.directory}/{START}") else "running"

    def need(self, *wanted: str, action: str) -> str:
        """Return the status if it is one of those, or raise `FailedPrecondition`."""
        status = self.status()
        if status in wanted:
            return status
        if status == "stopped":
            raise FailedPrecondition(
                f"cannot {action}: container not running: {self.record.id} has stopped"
            )
        raise FailedPrecondition(f"cannot {action}: container {self.record.id} is {status}")

    def pidfd(self) -> int:
        """Return a descriptor of the init, or raise `FailedPrecondition` if it has ended."""
        try:
            descriptor = os.pidfd_open(self.record.pid) if self.record.pid else -1
        except ProcessLookupError:
            descriptor = -1
        if descriptor >= 0:
            if self.alive():
                return descriptor
            os.close(descriptor)
        raise FailedPrecondition(f"container not running: {self.record.id} has stopped")

    def forget(self) -> None:
        """Remove the directory."""
        # First what makes it a container: what is left of it after a crash is then taken for none.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.directory}/state.json")
        remove_directory(self.directory)


def remove_directory(directory: str) -> None:
    """Remove a container's directory: there are only files in it."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            os.unlink(f"{directory}/{name}")
        os.rmdir(directory)


class Store:
    """The directory of all containers."""

    def __init__(self, request: Request) -> None:
        given = request.shared.text("root") if request.shared is not None else None
        self.root = os.path.abspath(given) if given else default_root()

    def directory(self, container_id: str) -> str:
        """Return a container's directory; raises `InvalidArgument` for what is no id."""
        if not container_id or not _ID.issuperset(container_id) or container_id in {".", ".."}:
            raise InvalidArgument(
                f"invalid container ID: {container_id!r}: letters, digits and _+.- only"
            )
        if len(container_id) > _LONGEST_ID:
            raise InvalidArgument(
                f"invalid container ID: its {len(container_id)} characters are over {_LONGEST_ID}"
            )
        return f"{self.root}/{container_id}"

    def find(self, container_id: str) -> Container:
        """Return a container; raises `NotFound`."""
        directory = self.directory(container_id)
        try:
            value = read_json(f"{directory}/state.json")
        except NotFound:
            raise NotFound(f"container {container_id!r} does not exist") from None
        return Container(directory, Record.decode(value, f"{directory}/state.json"))

    @contextlib.contextmanager
    def locked(self, container_id: str) -> Generator[Container]:
        """Keep others from changing a container; raises `NotFound`, `DeadlineExceeded`."""
        with _lock(self.directory(container_id), container_id):
            yield self.find(container_id)

    @contextlib.contextmanager
    def new(self, container_id: str) -> Generator[Container]:
        """Make a container's directory and keep it locked; it is removed if the block fails."""
        directory = self.directory(container_id)
        os.makedirs(self.root, mode=0o711, exist_ok=True)
        try:
            os.mkdir(directory, 0o711)
        except FileExistsError:
            raise AlreadyExists(f"container with id exists: {container_id}") from None
        with _lock(directory, container_id):
            container = Container(directory, Record(container_id))
            try:
                yield container
            except BaseException:
                container.forget()
                raise

    @contextlib.contextmanager
    def remains(self, container_id: str) -> Generator[str | None]:
        """Keep what is left of a container locked, whatever it is; None if there is nothing."""
        directory = self.directory(container_id)
        try:
            with _lock(directory, container_id):
                yield directory
        except NotFound:
            yield None

    def all(self) -> list[Container]:
        """Return the containers, by id; those that others remove meanwhile are left out."""
        try:
            names = sorted(os.listdir(self.root))
        except FileNotFoundError:
            return []
        found: list[Container] = []
        for name in names:
            with contextlib.suppress(NotFound, FormatError, InvalidArgument):
                found.append(self.find(name))
        return found


def default_root() -> str:
    """Return where state is kept: below /run for root, below XDG_RUNTIME_DIR for others."""
    return f"{rights.run_directory() or '/run'}/cinspect-oci"


@contextlib.contextmanager
def _lock(directory: str, container_id: str) -> Generator[None]:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise NotFound(f"container {container_id!r} does not exist") from None
    try:
        _wait_for_lock(descriptor, container_id)
        # Whoever had it before may have removed it.
        try:
            same = os.path.samestat(os.fstat(descriptor), os.stat(directory))
        except FileNotFoundError:
            same = False
        if not same:
            raise NotFound(f"container {container_id!r} does not exist")
        yield
    finally:
        # Not by closing alone: an init has a copy of the descriptor for a moment.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _wait_for_lock(descriptor: int, container_id: str) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
        else:
            return
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                f"container {container_id!r} is being changed by another command"
            )
        time.sleep(0.005)


def _locked(directory: str) -> bool:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
