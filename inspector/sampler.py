"""Takes samples: asks every source that the wanted sections need, and waits for none too long."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

from msgspec import structs

from collectors.collector import Collector, FileCollector
from collectors.engine import Engine
from collectors.errors import CollectError, Missing, Problem
from collectors.kernel import cgroups, namespaces, processes
from collectors.kernel.namespaces import NamespacesReading
from collectors.root import Root
from inspector.sample import EngineAnswer, Sample, uncollected
from runtime.errors import FormatError, RuntimeFailure

T = TypeVar("T")

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "containers": (
        "processes",
        "namespaces",
        "cgroups",
        "mounts",
        "layers",
        "network",
        "security",
    ),
    "namespaces": ("namespaces", "members"),
    "cgroups": ("processes", "namespaces", "cgroups", "depth"),
    "mounts": ("namespaces", "members", "mounts", "filesystems"),
    "processes": ("processes", "namespaces"),
    "network": ("namespaces", "members", "links", "sockets", "pinned", "ports"),
    "images": (),
    "tasks": ("processes", "namespaces", "mounts", "tasks"),
    "events": ("processes", "namespaces", "cgroups", "depth", "happened"),
}
"""Which readings each section is derived from; `members` is a few processes of each container."""
_AGAIN: Final = 10
"""A source that did not answer is left alone for so many times its deadline."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that each source has."""

    collector: float = 20.0
    engine: float = 2.0


@dataclass(slots=True)
class _Gathering:
    """What the sources of one sample have answered so far."""

    readings: dict[str, object] = field(default_factory=dict[str, object])
    moments: dict[str, float] = field(default_factory=dict[str, float])
    engines: dict[str, EngineAnswer] = field(default_factory=dict[str, EngineAnswer])
    problems: list[Problem] = field(default_factory=list[Problem])


class Sampler:
    """Takes one sample after another; it keeps nothing between them but who is slow."""

    def __init__(
        self,
        root: Root,
        collectors: Sequence[Collector[object]],
        engines: Sequence[Engine] = (),
        *,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._root = root
        self._collectors = {collector.name: collector for collector in collectors}
        self._engines = engines
        self._deadlines = deadlines or Deadlines()
        self._silent_until: dict[str, float] = {}
        self._first = True

    async def sample(self, sections: Collection[str]) -> Sample:
        """Ask what these sections need; a source that fails is a problem in the sample."""
        first, self._first = self._first, False
        # Later there is little to be read, and who waits for an engine meanwhile may leave garbage.
        with uncollected() if first else contextlib.nullcontext():
            return await self._sample(sections)

    async def _sample(self, sections: Collection[str]) -> Sample:
        began, cpu, files = time.monotonic(), time.process_time(), self._root.reads.files
        got = _Gathering()
        taken_at = datetime.now(UTC)
        async with asyncio.TaskGroup() as group:
            for engine in self._engines:
                group.create_task(self._ask(engine, got))
            group.create_task(self._read(frozenset(sections), got))
        for reading in got.readings.values():
            got.problems.extend(getattr(reading, "problems", ()))
        return Sample(
            taken_at=taken_at,
            sections=frozenset(sections),
            readings=got.readings,
            moments=got.moments,
            engines=tuple(got.engines[engine.name] for engine in self._engines),
            problems=tuple(dict.fromkeys(got.problems)),  # several collectors may meet the same one
            wall_seconds=time.monotonic() - began,
            cpu_seconds=time.process_time() - cpu,
            files_read=self._root.reads.files - files,
        )

    async def _read(self, sections: frozenset[str], got: _Gathering) -> None:
        """Take the readings one after the other.

        They are bound by the interpreter's lock: at once they would only make each other late, and
        each one's deadline would count the others' time.
        """
        needed = {"host", *(name for section in sections for name in NEEDS[section])}
        if "links" in needed:
            needed.discard("network")  # the counters are in it too
        if "cgroups" not in needed:
            await self._take(
                FileCollector(cgroups.HIERARCHIES, cgroups.read_hierarchies, self._root), got
            )
        for name, collector in self._collectors.items():
            if name in needed:
                await self._take(collector, got)
        if "members" in needed and "processes" not in needed:
            await self._members(got)

    async def _members(self, got: _Gathering) -> None:
        """Read one process of each set of namespaces that is not the host's: enough to tell whose.

        Of thousands of processes most are the host's or alike, and telling a container from its
        namespaces takes the eldest of each set and its ancestors.
        """
        spaces = got.readings.get(namespaces.KEY.name)
        if isinstance(spaces, NamespacesReading):
            pids = representatives(spaces)

            def some(root: Root) -> processes.ProcessesReading:
                return processes.read_some(root, pids)

            await self._take(FileCollector(processes.KEY, some, self._root), got)

    async def _take(self, collector: Collector[T], got: _Gathering) -> None:
        began = time.monotonic()
        path = f"/{collector.name}"
        try:
            answer = await self._within(
                collector.collect,
                path,
                source=path,
                deadline=self._deadlines.collector,
                problems=got.problems,
            )
        except Missing as error:
            got.problems.append(error.problem())
            return
        if answer is not None:
            got.readings[collector.name] = answer
            got.moments[collector.name] = (began + time.monotonic()) / 2

    async def _ask(self, engine: Engine, got: _Gathering) -> None:
        """Ask an engine; one that is not there is no problem."""
        problems: list[Problem] = []
        name, address = engine.name, engine.address
        got.engines[name] = EngineAnswer(name=name, address=address)
        try:
            reading = await self._within(
                engine.collect,
                address or name,
                source=name,  # containerd and the CRI that it serves have one address
                deadline=self._deadlines.engine,
                problems=problems,
            )
        except Missing:
            return
        got.problems.extend((*problems, *(reading.problems if reading is not None else ())))
        error = problems[0].message if problems else None
        got.engines[name] = EngineAnswer(name=name, address=address, reading=reading, error=error)

    async def _within(
        self,
        collect: Callable[[], Awaitable[T]],
        path: str,
        *,
        source: str,
        deadline: float,
        problems: list[Problem],
    ) -> T | None:
        """Return a source's answer, or None with a problem; raise `Missing` when it is not there.

        This is the boundary around sources.
        """
        now = time.monotonic()
        if now < self._silent_until.get(source, 0.0):
            problems.append(Problem(path, "collect", "timeout", "it did not answer and is let be"))
            return None
        try:
            async with asyncio.timeout(deadline):
                return await collect()
        except TimeoutError:
            self._silent_until[source] = time.monotonic() + _AGAIN * deadline
            problems.append(Problem(path, "collect", "timeout", f"no answer in {deadline:g} s"))
        except Missing:
            raise  # what that means is the caller's to say
        except CollectError as error:
            problems.append(error.problem())
        except FormatError as error:
            problems.append(Problem(path, "parse", "format", str(error)))
        except RuntimeFailure as error:
            problems.append(Problem(path, "collect", "unavailable", str(error)))
        except Exception as error:  # noqa: BLE001 - boundary: one bad source must not end the others
            problems.append(Problem(path, "collect", "bug", repr(error)))
        return None


def representatives(spaces: NamespacesReading) -> tuple[int, ...]:
    """Return the eldest process of each set of namespaces that differs from the host's."""
    base = spaces.init if any(spaces.init) else spaces.own
    eldest: dict[tuple[int | None, ...], tuple[int, int]] = {}
    for member in spaces.memberships:
        if member.inodes != base and any(member.inodes):
            age = (member.start_ticks, member.pid)
            if age < eldest.get(member.inodes, (age[0] + 1, 0)):
                eldest[member.inodes] = age
    return tuple(sorted(pid for _, pid in eldest.values()))


def with_cost(sample: Sample, *, wall_seconds: float, cpu_seconds: float) -> Sample:
    """Return the sample with what deriving from it cost added to what taking it did."""
    return structs.replace(
        sample,
        wall_seconds=sample.wall_seconds + wall_seconds,
        cpu_seconds=sample.cpu_seconds + cpu_seconds,
    )
