"""What a container's numbers mean, in plain words: does it run, is it pressed, by what and by whom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from inspector import units
from inspector.domains.cgroups.model import Cgroup, Finding
from inspector.domains.containers.model import Container
from screens.short import ids
from screens.widgets.cells import Tone

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


class Reason(NamedTuple):
    """Why a container is in the state it is in."""

    brief: str
    """In a few words, for a table."""
    full: str
    """With whose limit it is."""
    tone: Tone = "pressed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state, and the reasons for it, the worst first."""

    tone: Tone
    reasons: tuple[Reason, ...]

    @property
    def mark(self) -> str:
        """The sign that says the same as the colour."""
        return MARKS[self.tone]


def judge(container: Container) -> Verdict:
    """Return the verdict on a container: its state, and what was found to be wrong with it."""
    found = reasons(container.findings)
    if container.status == "paused":
        frozen = Reason("frozen", "frozen: none of its processes runs", "paused")
        return Verdict("paused", (frozen, *found))
    if container.status in {"created", "stopped"}:
        return _ended(container)
    return Verdict(_worst(found), found)


def judge_cgroup(cgroup: Cgroup) -> Verdict:
    """Return the verdict on a cgroup."""
    found = reasons(cgroup.findings)
    return Verdict("paused" if cgroup.frozen else _worst(found), found)


def reasons(findings: Sequence[Finding]) -> tuple[Reason, ...]:
    """Return what was found as reasons; of what is over only the sentence has a place, and no colour."""
    return tuple(_reason(one) for one in findings)


def _reason(one: Finding) -> Reason:
    tone: Tone = "pressed"
    if one.severity == "notice":
        tone = "dim"
    elif one.kind.startswith("oom_kill"):
        tone = "failed"
    brief = _BRIEF.get(one.kind)
    words = brief(one.numbers) if brief is not None else one.kind.replace("_", " ")
    return Reason(words, ids(one.sentence), tone)


def _share(word: str, name: str = "ratio") -> Callable[[Mapping[str, float]], str]:
    return lambda numbers: f"{word} {units.percent(numbers.get(name, 0.0))}"


def _kills(numbers: Mapping[str, float]) -> str:
    count = numbers.get("new_kills") or numbers.get("kills", 0)
    return "OOM kill" if count == 1 else f"{count:.0f} OOM kills"


_BRIEF: Final[Mapping[str, Callable[[Mapping[str, float]], str]]] = {
    "oom_kill": _kills,
    "oom_kill_gone": _kills,
    "cpu_throttled": _share("throttled"),
    "memory_near_limit": _share("memory"),
    "memory_above_high": lambda _: "above memory.high",
    "memory_limit_hit": lambda numbers: f"limit hit {numbers.get('hits', 0):.0f} times",
    "swap_near_limit": _share("swap"),
    "pids_near_limit": lambda numbers: (
        f"pids {numbers.get('current', 0):.0f}/{numbers.get('limit', 0):.0f}"
    ),
    "cpu_pressure": _share("waits for cpu", "some"),
    "memory_pressure": _share("waits for memory", "some"),
    "io_pressure": _share("waits for io", "some"),
    "io_at_limit": _share("io"),
}
"""A few words for each kind that has shorter ones than its name."""


def _worst(found: Sequence[Reason]) -> Tone:
    tones = {one.tone for one in found}
    return "failed" if "failed" in tones else "pressed" if "pressed" in tones else "ok"


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
        return Verdict("stopped", (Reason("created", "created, not started yet", "dim"),))
    code = container.exit_code
    if code is None:
        return Verdict("stopped", (Reason("stopped", "stopped", "dim"),))
    if code == 0:
        return Verdict("stopped", (Reason("ended well", "ended well (exit status 0)", "dim"),))
    brief = f"exit {code}"
    full = f"ended with exit status {code}{_signal(code)}"
    return Verdict("failed", (Reason(brief, full, "failed"),))


def _signal(code: int) -> str:
    known = {129: "HUP", 130: "INT", 134: "ABRT", 137: "KILL", 139: "SEGV", 143: "TERM"}
    return f": killed by SIG{known[code]}" if code in known else ""
