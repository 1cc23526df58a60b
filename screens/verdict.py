"""What a container's numbers mean, in plain words: does it run, is it pressed, by what and by whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from inspector import units
from inspector.domains.containers import columns
from inspector.domains.containers.model import Container
from inspector.history import Track
from screens.short import ids
from screens.widgets.cells import Tone

THROTTLED: Final = 0.05
"""From this share of periods on, waiting for the processor is worth a word."""
NEAR: Final = 0.9
"""From this share of a limit on, it is near."""
STALLED: Final = 0.1
"""From this share of ten seconds on, pressure is worth a word."""
MARKS: Final[dict[Tone, str]] = {
    "ok": "●",
    "paused": "❄",
    "stopped": "○",
    "pressed": "▲",
    "failed": "✖",
}
MEANINGS: Final[tuple[tuple[Tone, str], ...]] = (
    ("ok", "runs"),
    ("paused", "frozen"),
    ("stopped", "created or stopped"),
    ("pressed", "runs, but is held up: a limit is near, it is throttled, or it waits"),
    ("failed", "failed, or was hit by the out-of-memory killer"),
)
_RECENT: Final = 60
"""Samples that an OOM kill is counted as recent for."""


class Reason(NamedTuple):
    """Why a container is in the state it is in."""

    brief: str
    """In a few words, for a table."""
    full: str
    """With whose limit it is."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state, and the reasons for it, the worst first."""

    tone: Tone
    reasons: tuple[Reason, ...]

    @property
    def mark(self) -> str:
        """The sign that says the same as the colour."""
        return MARKS[self.tone]


def judge(container: Container, track: Track | None) -> Verdict:
    """Return the verdict on a container, from its newest numbers and the samples before."""
    kills = recent_kills(track)
    killed = (
        (Reason("OOM kill", f"out of memory: {kills} killed within the last {_RECENT} samples"),)
        if kills
        else ()
    )
    if container.status == "paused":
        return Verdict("paused", (Reason("frozen", "frozen: none of its processes runs"), *killed))
    if container.status in {"created", "stopped"}:
        return _ended(container)
    reasons = (*_memory(container), *_cpu(container), *_pids(container), *_pressure(container))
    if killed:
        return Verdict("failed", (*killed, *reasons))
    return Verdict("pressed" if reasons else "ok", reasons)


def recent_kills(track: Track | None) -> int:
    """Return how many OOM kills were counted within the recent samples."""
    if track is None:
        return 0
    known = [value for value in track.last("oom_kills", _RECENT) if value is not None]
    return int(known[-1] - known[0]) if known and known[-1] > known[0] else 0


def whose(limited_by: str | None, own: Sequence[str]) -> str:
    """Return in words whose limit binds: its own cgroup's, or the named ancestor's."""
    if limited_by is None:
        return ""
    return "its own cgroup" if limited_by in own else ids(limited_by)


def own_cgroups(container: Container) -> tuple[str, ...]:
    """Return the paths of its own cgroups, in every hierarchy."""
    return tuple(container.cgroups.values())


def _ended(container: Container) -> Verdict:
    if container.status == "created":
        return Verdict("stopped", (Reason("created", "created, not started yet"),))
    code = container.exit_code
    if code is None:
        return Verdict("stopped", (Reason("stopped", "stopped"),))
    if code == 0:
        return Verdict("stopped", (Reason("ended well", "ended well (exit status 0)"),))
    brief = f"exit {code}"
    return Verdict("failed", (Reason(brief, f"ended with exit status {code}{_signal(code)}"),))


def _signal(code: int) -> str:
    known = {129: "HUP", 130: "INT", 134: "ABRT", 137: "KILL", 139: "SEGV", 143: "TERM"}
    return f": killed by SIG{known[code]}" if code in known else ""


def _memory(container: Container) -> tuple[Reason, ...]:
    ratio, used = columns.memory_ratio(container), columns.memory(container)
    if ratio is None or used is None or ratio < NEAR:
        return ()
    owner = whose(used.limited_by, own_cgroups(container))
    share = units.percent(ratio)
    full = f"memory at {share} of the limit{f' of {owner}' if owner else ''}"
    return (Reason(f"memory {share}", full),)


def _cpu(container: Container) -> tuple[Reason, ...]:
    used = columns.cpu(container)
    if used is None or used.throttled_ratio is None or used.throttled_ratio < THROTTLED:
        return ()
    owner = whose(used.limited_by, own_cgroups(container))
    share = units.percent(used.throttled_ratio)
    full = f"throttled in {share} of periods{f' by the limit of {owner}' if owner else ''}"
    return (Reason(f"throttled {share}", full),)


def _pids(container: Container) -> tuple[Reason, ...]:
    used = columns.pids(container)
    if used is None or used.current is None or not used.limit:
        return ()
    if used.current < used.limit * NEAR:
        return ()
    full = f"{used.current} of {used.limit} tasks: soon it cannot fork"
    return (Reason(f"pids {used.current}/{used.limit}", full),)


def _pressure(container: Container) -> tuple[Reason, ...]:
    found = (container.resources.pressure if container.resources else None) or {}
    words: list[Reason] = []
    for resource in ("memory", "io", "cpu"):
        pressure = found.get(resource)
        share = pressure.some.avg10 if pressure and pressure.some else 0.0
        if share >= STALLED:
            text = units.percent(share)
            full = f"waits for {resource} {text} of the time"
            words.append(Reason(f"waits for {resource} {text}", full))
    return tuple(words)
