"""runc and crun, which have no daemon: the state that each keeps of its containers on disk."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from collectors.decoding import decode, moment
from collectors.engine import EngineContainer, EngineReading, Status
from collectors.errors import CollectError, Denied, Gone, Missing
from collectors.formats import pid_stat
from collectors.root import Root
from runtime.errors import FormatError


class StateDirectory(Struct, frozen=True):
    """A directory with one directory for each container, and who keeps it."""

    path: str
    engine_namespace: str | None = None


class _Cgroups(Struct):
    path: str | None = None


class _Config(Struct):
    labels: list[str] | None = None
    cgroups: _Cgroups | None = None


class _RuncState(Struct):
    """runc's state.json (libcontainer's State)."""

    id: str
    init_process_pid: int = 0
    init_process_start: int = 0
    created: str | None = None
    config: _Config | None = None


class _CrunStatus(Struct, rename="kebab"):
    """crun's status file (libcrun_container_status_t)."""

    pid: int = 0
    process_start_time: int = 0
    cgroup_path: str | None = None
    bundle: str | None = None
    created: str | None = None


class _Process(Struct):
    args: list[str] | None = None


class _Spec(Struct):
    process: _Process | None = None


class _Known(Struct, frozen=True):
    """What both files say."""

    pid: int
    start_ticks: int
    created: str | None
    cgroup: str | None
    bundle: str | None
    labels: Mapping[str, str]


_Start = tuple[str, int]
"""A bundle, and the start ticks of the process that was made from it."""


class StateEngine:
    """Lists what one low-level runtime keeps; its callers' containers are among them by their ids."""

    def __init__(
        self,
        name: Literal["runc", "crun"],
        directories: Sequence[StateDirectory],
        *,
        parents: Sequence[str] = (),
        root: Root | None = None,
    ) -> None:
        """Take the directories to look in; below `parents` is one for each engine namespace."""
        self.name = name
        self.address = directories[0].path if directories else None
        self._directories = directories
        self._parents = parents
        self._root = root or Root()
        self._commands: dict[_Start, tuple[str, ...] | None] = {}
        self._used: set[_Start] = set()

    async def collect(self) -> EngineReading:
        """Read; raise `Missing` where no directory is there, `Denied` where none may be read."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> EngineReading:
        containers: list[EngineContainer] = []
        failures: list[CollectError] = []
        directories = [
            *self._directories,
            *(
                StateDirectory(f"{parent}/{name}", name)
                for parent in self._parents
                for name in sorted(self._names(parent))
            ),
        ]
        for directory in directories:
            try:
                ids = sorted(self._root.names(directory.path))
            except CollectError as error:
                failures.append(error)
                continue
            containers += [
                one for one in (self._container(directory, found) for found in ids) if one
            ]
        self._commands = {key: self._commands[key] for key in self._used}
        self._used.clear()
        if len(failures) == len(directories):
            raise next((one for one in failures if isinstance(one, Denied)), failures[0])
        return EngineReading(
            name=self.name, version=None, address=self.address, containers=tuple(containers)
        )

    def _container(self, directory: StateDirectory, container: str) -> EngineContainer | None:
        path = f"{directory.path}/{container}"
        try:
            known = self._runc(path) if self.name == "runc" else self._crun(path)
        except (Missing, Gone):
            return None  # no container's directory, or one that was deleted meanwhile
        except (CollectError, msgspec.DecodeError) as error:
            return EngineContainer(
                id=container,
                engine=self.name,
                engine_namespace=directory.engine_namespace,
                error=f"{path}: {error}",
            )
        status = self._status(path, known)
        return EngineContainer(
            id=container,
            engine=self.name,
            engine_namespace=directory.engine_namespace,
            labels=known.labels,
            command=self._command(known),
            status=status,
            pid=known.pid if known.pid and status != "stopped" else None,
            created_at=moment(known.created),
            runtime=self.name,
            cgroup=known.cgroup,
        )

    def _runc(self, path: str) -> _Known:
        state = decode(self._root.read(f"{path}/state.json"), _RuncState)
        config = state.config or _Config()
        labels: dict[str, str] = {}
        for label in config.labels or ():
            key, _, value = label.partition("=")
            labels[key] = value
        return _Known(
            pid=state.init_process_pid,
            start_ticks=state.init_process_start,
            created=state.created,
            cgroup=(config.cgroups.path if config.cgroups is not None else None) or None,
            bundle=labels.pop("bundle", None),
            labels=labels,
        )

    def _crun(self, path: str) -> _Known:
        status = decode(self._root.read(f"{path}/status"), _CrunStatus)
        return _Known(
            pid=status.pid,
            start_ticks=status.process_start_time,
            created=status.created,
            cgroup=status.cgroup_path or None,
            bundle=status.bundle,
            labels={},
        )

    def _status(self, path: str, known: _Known) -> Status:
        """Return the status as both runtimes tell it; whether it is paused, its cgroup knows."""
        try:
            stat = pid_stat.parse(self._root.read(f"proc/{known.pid}/stat"))
        except (CollectError, FormatError):
            return "stopped"
        if stat.start_ticks != known.start_ticks or stat.state in {"Z", "X"}:
            return "stopped"
        # Both hold the container's init at this FIFO until `start`.
        return "created" if "exec.fifo" in self._names(path) else "running"

    def _names(self, path: str) -> Sequence[str]:
        try:
            return self._root.names(path)
        except CollectError:
            return ()

    def _command(self, known: _Known) -> tuple[str, ...] | None:
        """Return what the bundle's spec says; it is read once for each start of the container."""
        if known.bundle is None:
            return None
        key = (known.bundle, known.start_ticks)
        self._used.add(key)
        if key not in self._commands:
            try:
                data = self._root.read(f"{known.bundle}/config.json")
                process = decode(data, _Spec).process
                command = tuple(process.args or ()) if process is not None else None
            except (CollectError, msgspec.DecodeError):
                command = None
            self._commands[key] = command
        return self._commands[key]
