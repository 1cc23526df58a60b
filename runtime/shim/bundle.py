"""The files of a bundle: what the client tells the shim, and what the shim tells whoever looks.

| file | written by | content |
| --- | --- | --- |
| `config.json` | client or containerd | the OCI spec |
| `cinspect.json` | our client | `Home`; absent below containerd |
| `shim.json` | shim | its pid, start time and address |
| `state.json` | shim | `State`, replaced at each change |
| `address` | shim | the socket's address, as containerd wants it |
| `init.pid` | shim | the init's pid |
| `rootfs/` | client or containerd | where the shim mounts the root filesystem |
"""

from __future__ import annotations

import json
import os

from runtime.errors import FormatError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias

    Json: TypeAlias = dict[str, Any]
    Value: TypeAlias = Any

VERSION = 1
"""Of these files."""
SHIM_VERSION = "0.1.0"
"""Of the shim that writes them."""


def read_json(path: str) -> Json:
    """Return a file's JSON object; raises `NotFound`, or `FormatError` naming the file."""
    try:
        with open(path, "rb") as file:
            value: Any = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"no {path}") from None
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}") from error
    return as_object(value, path)


def as_object(value: Value, what: str) -> Json:
    """Return a JSON object, or raise `FormatError` saying what is none."""
    if not _is_object(value):
        raise FormatError(f"{what} is not a JSON object")
    return value  # type: ignore[no-any-return]  # the line above looked


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def section(value: Json, name: str) -> Json:
    """Return a part of a spec that is an object; an absent one is empty."""
    part = value.get(name)
    return {} if part is None else as_object(part, name)


def own_pid_namespace(spec: Json) -> bool:
    """Tell whether the kernel kills all of a container when its init ends."""
    namespaces: list[Json] = section(spec, "linux").get("namespaces", [])
    return any(each.get("type") == "pid" and not each.get("path") for each in namespaces)


def write_json(path: str, value: Mapping[str, object], *, mode: int = 0o600) -> None:
    """Replace a file in one step: a reader sees the old or the new one, never half of one."""
    temporary = f"{path}.{os.getpid()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, mode)
    try:
        data = json.dumps(value, separators=(",", ":")).encode()
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)
    os.rename(temporary, path)


def write_pid(directory: str, pid: int) -> None:
    """Write a bundle's `init.pid`, where containerd looks for it."""
    with open(os.path.join(directory, "init.pid"), "wb", buffering=0) as file:
        file.write(b"%d" % pid)


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if there is none (any more).

    With the pid it names one process for ever: field 22 of /proc/PID/stat (proc_pid_stat(5)).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {b"Z", b"X"} else int(fields[19])


class Home:
    """What our client tells its shim beside the spec.

    It is a file of its own, and no annotations: those may come from an image's or a pod's author,
    who must not name files and commands for the shim to use as root.
    """

    __slots__ = ("cleanup", "exit_path", "journal", "log", "seccomp_cache")

    def __init__(
        self,
        *,
        log: str,
        journal: str,
        exit_path: str,
        seccomp_cache: str,
        cleanup: Sequence[str] = (),
    ) -> None:
        self.log = log
        """Where the container's output is logged."""
        self.journal = journal
        """Where events are appended."""
        self.exit_path = exit_path
        """A file that outlives the bundle, for how the container ended."""
        self.seccomp_cache = seccomp_cache
        """A directory of compiled seccomp filters."""
        self.cleanup = tuple(cleanup)
        """The command that removes the container when it has ended and no client is left."""

    def save(self, directory: str) -> None:
        """Write `cinspect.json`."""
        value = {
            "version": VERSION,
            "log": self.log,
            "journal": self.journal,
            "exit": self.exit_path,
            "seccomp_cache": self.seccomp_cache,
            "cleanup": self.cleanup,
        }
        write_json(os.path.join(directory, "cinspect.json"), value)

    @classmethod
    def load(cls, directory: str) -> Home | None:
        """Read it; None where there is none, as below containerd."""
        try:
            value = read_json(os.path.join(directory, "cinspect.json"))
        except NotFound:
            return None
        try:
            return cls(
                log=value["log"],
                journal=value["journal"],
                exit_path=value["exit"],
                seccomp_cache=value["seccomp_cache"],
                cleanup=value["cleanup"],
            )
        except KeyError as error:
            raise FormatError(f"{directory}/cinspect.json has no {error}") from None


class State:
    """What a shim says of its container; times are nanoseconds since 1970."""

    __slots__ = (
        "cgroup",
        "exit_code",
        "finished_at",
        "oom_killed",
        "pid",
        "pid_ticks",
        "service_class",
        "started_at",
        "status",
        "unit",
    )

    def __init__(  # noqa: PLR0913  # one for each thing that it says
        self,
        *,
        status: str = "created",
        pid: int = 0,
        pid_ticks: int | None = None,
        started_at: int | None = None,
        finished_at: int | None = None,
        exit_code: int | None = None,
        oom_killed: bool = False,
        cgroup: str | None = None,
        unit: str = "",
        service_class: Sequence[Any] = (),
    ) -> None:
        self.status = status
        self.pid = pid
        self.pid_ticks = pid_ticks
        self.started_at = started_at
        self.finished_at = finished_at
        self.exit_code = exit_code
        self.oom_killed = oom_killed
        self.cgroup = cgroup
        """The path of its cgroups; empty if it has none, None before they are made."""
        self.unit = unit
        """systemd's unit that they are; empty where systemd has not made them."""
        self.service_class = tuple(service_class)
        """What `resctrl.Group` is made of; empty without one."""

    def save(self, path: str) -> None:
        """Write it to a file."""
        write_json(path, self.plain())

    def plain(self) -> Json:
        """Return what it is made of."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def load(cls, path: str) -> State:
        """Read it; raises `NotFound` or `FormatError`."""
        value = read_json(path)
        try:
            said: Json = {"cgroup": None, "unit": "", "service_class": ()} | value
            return cls(**{name: said[name] for name in cls.__slots__})
        except KeyError as error:
            raise FormatError(f"{path} has no {error}") from None

    def alive(self) -> bool:
        """Tell whether the init that it speaks of still runs."""
        return bool(self.pid) and start_ticks(self.pid) == self.pid_ticks


class Shim:
    """Who serves a bundle."""

    __slots__ = ("address", "pid", "ticks")

    def __init__(self, *, pid: int, ticks: int | None, address: str) -> None:
        self.pid = pid
        self.ticks = ticks
        self.address = address

    def save(self, directory: str) -> None:
        """Write `shim.json`."""
        value = {"pid": self.pid, "ticks": self.ticks, "address": self.address}
        write_json(os.path.join(directory, "shim.json"), value)

    @classmethod
    def load(cls, directory: str) -> Shim:
        """Read it; raises `NotFound` or `FormatError`."""
        path = os.path.join(directory, "shim.json")
        value = read_json(path)
        try:
            return cls(pid=value["pid"], ticks=value["ticks"], address=value["address"])
        except KeyError as error:
            raise FormatError(f"{path} has no {error}") from None

    def alive(self) -> bool:
        """Tell whether that very process still runs."""
        return start_ticks(self.pid) == self.ticks
