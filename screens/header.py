"""The title line and the state of the sample: what stands above and below every screen."""

from collections.abc import Sequence
from typing import Final, Protocol

from inspector import units
from inspector.domains.engines.model import Engine
from inspector.frame import Frame
from screens.shell import Vitals
from screens.widgets import cells
from screens.widgets.cells import Line, Piece, Tone

_MEDIUM: Final = 112
_ROOMY: Final = 120
"""From this width on there is room for whole words."""


class Said(Protocol):
    """A problem, as a frame has it."""

    @property
    def path(self) -> str | None:
        """What was to be read."""
        ...

    @property
    def operation(self) -> str:
        """How."""
        ...

    @property
    def message(self) -> str:
        """Why it could not be."""
        ...


def title(frame: Frame, width: int) -> tuple[Line, Line]:
    """Return the title line: host, kernel, cgroup mode, engines; and the time of the sample.

    On a narrow screen the engines that are not there go unnamed, and so does cinspect.
    """
    host = frame.host
    narrow = width < _MEDIUM
    pieces: list[Piece] = [(" cinspect · " if not narrow else " ", "bold")]
    mode = host.cgroup.mode if host.cgroup else "?"
    facts = [host.hostname or "?", host.kernel or "?", mode]
    if not narrow:
        facts = [facts[0], f"Linux {facts[1]}", f"cgroup {mode}"]
    pieces.append((" · ".join(facts), "plain"))
    pieces.append((" ·", "dim"))
    clock: Line = ((frame.taken_at.strftime("%H:%M:%S "), "dim"),)
    room = width - cells.length(pieces) - cells.length(clock)
    every = _engines(frame.engines)
    # Many can be looked for: those that are not there give way first.
    there = (
        every if not narrow and cells.length(every) <= room else _engines(frame.engines, there=True)
    )
    return (*pieces, *there), clock


def _engines(engines: Sequence[Engine], *, there: bool = False) -> Line:
    """Return each engine with its mark; `there`: those that answer, or should and do not."""
    pieces: list[Piece] = []
    for engine in engines:
        if there and not engine.reachable and not engine.error:
            continue
        tone: Tone = "ok" if engine.reachable else "failed" if engine.error else "stopped"
        mark = {"ok": "●", "failed": "✖", "stopped": "○"}[tone]
        pieces.append((f" {engine.name} ", "plain" if engine.reachable else "dim"))
        pieces.append((mark, tone))
    return tuple(pieces)


def status(vitals: Vitals, width: int) -> Line:
    """Return the state of the sample: how old it is, what it cost, what went wrong; shorter on a narrow screen."""
    pieces: list[Piece] = []
    if vitals.problem:
        pieces.append((f" ✖ {vitals.problem} ", "failed"))
    elif vitals.ended:
        pieces.append((" ■ end of the recording ", "paused"))
    elif vitals.paused:
        pieces.append((" ❚❚ paused ", "paused"))
    if vitals.age is None:
        return (
            tuple(pieces) if vitals.problem else (*pieces, (" waiting for the first sample", "dim"))
        )
    tone: Tone = "dim"
    if not vitals.paused and not vitals.ended:
        tone = _age_tone(vitals.age, vitals.interval)
    mark = {"dim": "", "pressed": "▲ stale: ", "failed": "✖ stale: "}[tone]
    sample = "sample " if width >= _ROOMY else ""
    pieces.append((f" {mark}{sample}{_age(vitals.age)} old", tone))
    share = f"{vitals.cpu_ratio * 100:.1f} % of a core"
    cost = f"cinspect takes {share}, {vitals.files} files" if width >= _ROOMY else share
    pieces.append((f" · {cost}", "dim"))
    if vitals.errors:
        pieces.append((f" · {vitals.errors} not readable (!)", "pressed"))
    return tuple(pieces)


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else units.long_duration(seconds)


def _age_tone(age: float, interval: float) -> Tone:
    if age > max(10.0, interval * 6):
        return "failed"
    return "pressed" if age > max(3.0, interval * 2.5) else "dim"


def problem_lines(problems: Sequence[Said]) -> list[Line]:
    """Return a line for each thing that could not be read: what, how, why."""
    lines: list[Line] = [
        ((" ▲ ", "pressed"), (f"{one.path} ", "bold"), (f"{one.operation}: {one.message}", "plain"))
        for one in problems
    ]
    return lines or [((" everything was read", "ok"),)]
