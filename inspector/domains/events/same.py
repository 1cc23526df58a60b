"""Which accounts are of the same event: Docker's `die`, containerd's exit and the kernel's are one.

The rule. An account has a kind, by its topic: a container was made, started, ended, paused, resumed
or removed, ran out of memory; a command in it was started, or ended. Two accounts are of one event
when the container and the kind are the same, they come from different sources or topics, the pid
and the exec id are equal where both say one (of a command one of these must be), and their times
are at most `APART_SECONDS` apart; `LATE_SECONDS` where one was found by comparing two frames, and
so has the time of the later. Of several that fit, the nearest in time. What is shown is the account
of the engine that people asked, else of its shim, else of what runs below it, else the kernel's;
the others are its `seen_by`. Accounts of any other topic stand for themselves.
"""

from bisect import insort
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from msgspec import structs

from inspector.domains.events.model import Account, Event, attributes, family

APART_SECONDS: Final = 2.0
LATE_SECONDS: Final = 6.0
_AHEAD_SECONDS: Final = 5.0
_COMPARED: Final = frozenset({"appeared", "gone", "frozen", "thawed", "oom"})
_KINDS: Final[Mapping[str, str]] = {
    "/container/create": "made",
    "/container/start": "started",
    "/container/die": "ended",
    "/container/died": "ended",
    "/container/destroy": "removed",
    "/container/remove": "removed",
    "/container/pause": "paused",
    "/container/unpause": "resumed",
    "/container/oom": "oom",
    "/container/exec_create": "exec-made",
    "/container/exec_start": "exec-started",
    "/container/exec": "exec-started",
    "/container/exec_die": "exec-ended",
    "/container/exec_died": "exec-ended",
    "/containers/create": "made",
    "/containers/delete": "removed",
    "/tasks/start": "started",
    "/tasks/exit": "ended",
    "/tasks/paused": "paused",
    "/tasks/resumed": "resumed",
    "/tasks/oom": "oom",
    "/tasks/exec-added": "exec-made",
    "/tasks/exec-started": "exec-started",
    "/cri/created": "made",
    "/cri/started": "started",
    "/cri/stopped": "ended",
    "/cri/deleted": "removed",
    "appeared": "started",
    "gone": "ended",
    "frozen": "paused",
    "thawed": "resumed",
    "oom": "oom",
    "process-exit": "exec-ended",
}
_RANKS: Final[Mapping[str, int]] = {"shim": 1, "containerd": 2, "kernel": 3}
"""Of sources, by their kind; an engine that people ask is before all of them."""

Keys = Mapping[str, object]


class Joiner:
    """Takes accounts as they come; has the events, in the order of their times."""

    def __init__(self, *, keep: int, joining: bool = True) -> None:
        """Keep so many events at most, the newest; without `joining` each account is one."""
        self._keep = keep
        self._joining = joining
        self._events: list[_Logical] = []
        self._open: dict[tuple[str, str], list[_Logical]] = {}
        self._newest = 0.0

    def add(self, accounts: Iterable[Event]) -> int:
        """Take accounts; return how many of them were new events."""
        new = 0
        for event in accounts:
            at = event.timestamp.timestamp()
            self._newest = max(self._newest, at)
            kind, keys = _signature(event)
            if kind is None or event.container is None or not self._joining:
                self._insert(_Logical(event, {}))
                new += 1
                continue
            listed = self._open.setdefault((event.container, kind), [])
            fitting = [one for one in listed if one.fits(event, kind, keys)]
            if fitting:
                nearest = min(fitting, key=lambda one: abs(one.at - at))
                self._join(nearest, event, keys)
                if kind.startswith("exec-"):
                    self._unite(nearest, listed)
                continue
            logical = _Logical(event, keys)
            listed.append(logical)
            self._insert(logical)
            new += 1
        self._forget()
        return new

    def events(self) -> tuple[Event, ...]:
        """Return the events there are now."""
        return tuple([one.event for one in self._events])

    def take(self, until: float | None = None) -> list[Event]:
        """Return, and keep no longer, the events until a time in seconds since 1970; None: all.

        What comes later of the same is nothing new, and is not told again, but an account that is to be
        shown before the one that was: who waits for an engine's word must get it, late or not. An
        event of a clock that is far ahead is not waited for.
        """
        if until is None:
            taken, self._events = self._events, []
            return [one.tell() for one in taken]
        waiting = [one for one in self._events if until < one.at <= until + _AHEAD_SECONDS]
        held = set(map(id, waiting))
        taken = [one for one in self._events if id(one) not in held]
        self._events = waiting
        return [one.tell() for one in taken]

    def _insert(self, logical: "_Logical") -> None:
        if not self._events or self._events[-1].at <= logical.at:
            self._events.append(logical)
        else:
            insort(self._events, logical, key=_at)

    def _join(self, logical: "_Logical", event: Event, keys: Keys) -> None:
        before, rank = logical.at, _rank(logical.event)
        logical.join(event, keys)
        if logical.taken:
            if _rank(event) < rank:
                logical.taken = False
                self._insert(logical)
        elif logical.at != before and logical in self._events:
            self._events.remove(logical)
            self._insert(logical)

    def _unite(self, logical: "_Logical", listed: list["_Logical"]) -> None:
        """Join what only now is known to be the same: one source knows the pid, one the exec id."""
        for other in [one for one in listed if one is not logical and logical.same(one)]:
            listed.remove(other)
            if other in self._events:
                self._events.remove(other)
            accounts = other.event.seen_by
            self._join(logical, structs.replace(other.event, seen_by=()), other.keys)
            logical.event = structs.replace(
                logical.event, seen_by=(*logical.event.seen_by, *accounts)
            )
            logical.told |= other.told

    def _forget(self) -> None:
        over = len(self._events) - self._keep
        if over > 0:
            # Processes come and go by the thousand: they push out one another first.
            many = [one for one in self._events if one.event.topic.startswith("process-")]
            dropped = set(map(id, many[: max(0, min(over, len(many) - self._keep // 4))]))
            self._events = [one for one in self._events if id(one) not in dropped]
            del self._events[: max(0, len(self._events) - self._keep)]
        # A clock that goes backwards, or an engine's that is ahead, must not keep all of them open.
        oldest = self._newest - LATE_SECONDS
        for key in [key for key, listed in self._open.items() if listed[0].at < oldest]:
            kept = [one for one in self._open[key] if one.at >= oldest]
            if kept:
                self._open[key] = kept
            else:
                del self._open[key]


class _Logical:
    """One event and what is known of it."""

    __slots__ = ("at", "event", "keys", "taken", "told")

    def __init__(self, event: Event, keys: Keys) -> None:
        self.event = event
        self.keys = dict(keys)
        self.at = event.timestamp.timestamp()
        self.told = {(event.source, event.topic)}
        self.taken = False

    def tell(self) -> Event:
        self.taken = True
        return self.event

    def fits(self, event: Event, kind: str, keys: Keys) -> bool:
        if (event.source, event.topic) in self.told:
            return False
        compared = event.topic in _COMPARED or self.event.topic in _COMPARED
        apart = LATE_SECONDS if compared else APART_SECONDS
        if abs(event.timestamp - self.event.timestamp) > timedelta(seconds=apart):
            return False
        common = keys.keys() & self.keys.keys()
        if any(keys[key] != self.keys[key] for key in common):
            return False
        return bool(common) or not kind.startswith("exec-")

    def same(self, other: "_Logical") -> bool:
        common = self.keys.keys() & other.keys.keys()
        return (
            bool(common)
            and all(self.keys[key] == other.keys[key] for key in common)
            and self.told.isdisjoint(other.told)
            and abs(self.at - other.at) <= APART_SECONDS
        )

    def join(self, event: Event, keys: Keys) -> None:
        self.told.add((event.source, event.topic))
        self.keys.update(keys)
        shown, other = sorted((self.event, event), key=_rank)
        accounts = [
            *self.event.seen_by,
            Account(other.source, other.topic, other.timestamp),
        ]
        accounts.sort(key=lambda one: one.timestamp)
        self.event = structs.replace(shown, seen_by=tuple(accounts))
        self.at = self.event.timestamp.timestamp()


def _at(logical: _Logical) -> float:
    return logical.at


def _rank(event: Event) -> int:
    return _RANKS.get(family(event.source).partition("-")[0], 0)


def _signature(event: Event) -> tuple[str | None, Keys]:
    """Return the kind of an account, and what tells one of a kind from another."""
    kind = _KINDS.get(event.topic)
    if kind is None:
        return None, {}
    body = event.event
    keys: dict[str, object] = {}
    pid = body.get("pid")
    if isinstance(pid, int) and pid > 0:
        keys["pid"] = pid
    if event.topic == "process-exit" and body.get("first"):
        kind = "ended"
    if event.topic == "/tasks/exit" and body.get("id") not in {None, "", event.container}:
        kind, keys["exec"] = "exec-ended", body["id"]
    executed = body.get("exec_id") or attributes(event).get("execID")
    if executed:
        keys["exec"] = executed
    return kind, keys
