"""Births, programs and ends of containers' processes, from what the kernel told of all of the host's.

Whose a process is, is known from its birth on: a child is in its parent's container. The first
process of a container, and what is executed in it, is born outside and moved in; whose it is then
tell, in this order: the engine's event with its pid, its cgroup as it was when it began its
program, and the next frame. So one that was gone before any frame is not told of as the host's.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from collectors.formats import cmdline, pid_cgroup
from collectors.kernel.happened import Birth, HappenedReading
from inspector.domains.containers.model import Container
from inspector.domains.events import owners
from inspector.domains.events.model import Event
from runtime.errors import FormatError

KERNEL: Final = "kernel"
_TOPICS: Final[Mapping[str, str]] = {
    "fork": "process-born",
    "exec": "process-exec",
    "exit": "process-exit",
    "coredump": "process-coredump",
}
TOPICS: Final = frozenset(_TOPICS.values())
MOST: Final = 1000
"""Events of one topic between two frames; of more, the number that is left out is told."""
_SIGNAL, _CORE = 0x7F, 0x80
_SHOWN: Final = 12
"""Arguments of a command."""

Body = dict[str, object]


class Attribution:
    """Knows from frame to frame whose each process is, and what it runs."""

    def __init__(self, known: owners.Known | None = None) -> None:
        """Know nobody yet; what is known of cgroups' owners may be shared."""
        self._known = known or owners.Known()
        self._members: list[tuple[str, int | None, tuple[int, ...]]] = []
        self._after: dict[int, str] = {}
        self._firsts: set[tuple[str, int]] = set()
        """Of the last containers, as the one before."""
        self._owner: dict[int, str] = {}
        self._command: dict[int, tuple[str, ...]] = {}
        self._first: set[tuple[str, int]] = set()
        self._pending: list[Birth] = []
        """What was nobody's in the frame before: an engine may tell of it a moment later."""

    def advance(
        self,
        heard: HappenedReading | None,
        containers: Iterable[Container],
        told: Iterable[Event] = (),
    ) -> list[Event]:
        """Return what happened to containers' processes; `containers` are the new frame's.

        `told` is what engines said meanwhile: some of it has pids.
        """
        containers = tuple(containers)
        members = [(one.id, one.pid, one.pids) for one in containers]
        if members != self._members:
            self._members = members
            self._after = {pid: name for name, _, pids in members for pid in pids}
            self._firsts = {(name, pid) for name, pid, _ in members if pid is not None}
        after = self._after
        heard_of = heard.processes if heard is not None else ()
        births = [one for one in heard_of if one.told.kind in _TOPICS]
        found: list[Event] = []
        if births or self._pending:
            known = _Known(after, _said(told), self._known.by_path(containers))
            self._first = self._first | self._firsts | known.said_first
            self._owner = dict(self._owner)
            found += self._adopted(known)
            last = _last_births(births)
            for number, birth in enumerate(births):
                # A pid is used again: what is known of it by now is known of the last to have it.
                current = number >= last.get(birth.told.pid, 0)
                event = self._event(birth, known, current=current)
                if event is None:
                    self._pending.append(birth)
                else:
                    found.append(event)
        # What was lost, or moved, is right again from here on.
        self._owner = after
        self._command = {pid: one for pid, one in self._command.items() if pid in after}
        self._first = self._firsts
        return _limited(found)

    def _adopted(self, known: "_Known") -> list[Event]:
        """Return events of what waited, as far as it is known by now whose it was."""
        waited, self._pending = self._pending, []
        last = _last_births(waited)
        whose: dict[int, str] = {}
        found: list[Event] = []
        for number, birth in enumerate(waited):
            told = birth.told
            owner = whose.get(told.parent if told.kind == "fork" else told.pid)
            if owner is None and number >= last.get(told.pid, 0):
                owner = known.said(told.pid)
            if owner is None:
                owner = known.of_cgroup(birth.cgroup)
            if owner is None:
                continue
            whose[told.pid] = owner
            if told.kind == "exit":
                del whose[told.pid]
            command = cmdline.parse(birth.command)
            first = (owner, told.pid) in self._first
            found.append(_made(birth, owner, command, first=first))
        return found

    def _event(self, birth: Birth, known: "_Known", *, current: bool) -> Event | None:
        told = birth.told
        pointed = known.of(told.pid) if current else None
        owner = self._owner.get(told.pid)
        if told.kind == "fork":
            owner = self._owner.get(told.parent) or pointed
            self._owner.pop(told.pid, None)
            self._command[told.pid] = self._command.get(told.parent, ())
        elif owner is None:
            owner = pointed or known.of_cgroup(birth.cgroup)
        if told.kind == "exec":
            # Of one that had ended when it was looked at, nobody knows what it ran.
            self._command[told.pid] = cmdline.parse(birth.command)
        if told.kind == "exit":
            self._owner.pop(told.pid, None)
        elif owner is not None:
            self._owner[told.pid] = owner
        command = self._command.get(told.pid, ())
        if told.kind == "exit":
            self._command.pop(told.pid, None)
        if owner is None:
            return None
        first = (owner, told.pid) in self._first
        return _made(birth, owner, command, first=first)


class _Known:
    """What tells whose a process is that was born outside."""

    def __init__(
        self,
        after: Mapping[int, str],
        said: Mapping[int, tuple[str, bool]],
        paths: Mapping[str, str],
    ) -> None:
        self._after = after
        self._said = {pid: container for pid, (container, _) in said.items()}
        self.said_first = {(one, pid) for pid, (one, first) in said.items() if first}
        self._paths = paths

    def of(self, pid: int) -> str | None:
        return self._said.get(pid) or self._after.get(pid)

    def said(self, pid: int) -> str | None:
        return self._said.get(pid)

    def of_cgroup(self, data: bytes) -> str | None:
        try:
            entries = pid_cgroup.parse(data)
        except FormatError:
            return None
        # Of several hierarchies the deepest path says most; of a mere host process none does.
        for entry in sorted(entries, key=lambda entry: -len(entry.path)):
            found = owners.of_path(self._paths, entry.path)
            if found is not None:
                return found
        return None


def _last_births(births: Iterable[Birth]) -> dict[int, int]:
    """Return where in the row each pid was born last."""
    return {
        birth.told.pid: number for number, birth in enumerate(births) if birth.told.kind == "fork"
    }


def _said(told: Iterable[Event]) -> dict[int, tuple[str, bool]]:
    """Return container and whether it is the first process, by the pids in engines' events."""
    found: dict[int, tuple[str, bool]] = {}
    for event in told:
        pid = event.event.get("pid") or event.event.get("Pid")
        if event.container is None or not isinstance(pid, int) or pid <= 0:
            continue
        executed = event.event.get("exec_id") or event.event.get("id") not in {
            None,
            event.container,
        }
        found[pid] = (event.container, not executed)
    return found


def _made(birth: Birth, container: str, command: tuple[str, ...], *, first: bool) -> Event:
    told = birth.told
    body: Body = {"pid": told.pid}
    if told.kind == "fork":
        body["ppid"] = told.parent
    if told.kind == "exit":
        body |= _ending(told.status)
    if command:
        body["command"] = list(command[:_SHOWN])
    if first:
        body["first"] = True
    return Event(
        timestamp=datetime.fromtimestamp(birth.at, UTC),
        monotonic_seconds=told.nanoseconds / 1e9,
        source=KERNEL,
        topic=_TOPICS[told.kind],
        engine_namespace=None,
        container=container,
        event=body,
    )


def _ending(status: int) -> Body:
    """Return how a process ended (wait(2))."""
    signal = status & _SIGNAL
    if not signal:
        return {"exit_code": status >> 8 & 0xFF}
    body: Body = {"signal": signal}
    if status & _CORE:
        body["core_dumped"] = True
    return body


def _limited(found: list[Event]) -> list[Event]:
    count: dict[str, int] = {}
    kept: list[Event] = []
    for event in found:
        count[event.topic] = count.get(event.topic, 0) + 1
        if count[event.topic] <= MOST:
            kept.append(event)
    for topic, number in count.items():
        if number > MOST:
            last = found[-1]
            kept.append(
                Event(
                    timestamp=last.timestamp,
                    monotonic_seconds=last.monotonic_seconds,
                    source=KERNEL,
                    topic=topic,
                    engine_namespace=None,
                    container=None,
                    event={"left_out": number - MOST},
                )
            )
    return kept
