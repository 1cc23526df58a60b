"""What was found out about whose something is, as lines for a dialog."""

from collections.abc import Iterator, Mapping

from inspector.owner.facts import short
from inspector.owner.model import Answer, Owner, Report
from screens.verdict import MARKS
from screens.widgets import cells
from screens.widgets.cells import Line, Tone

EXAMPLES: tuple[tuple[str, str], ...] = (
    ("web", "a container, by its name or id"),
    ("4242", "a pid; pid:7@web one inside of web"),
    ("veth3a1b  172.17.0.2", "an interface, an address"),
    ("port:8080", "who listens there, or is published there"),
    ("10.0.0.2:443", "an end of a connection"),
    ("/var/lib/x", "a layer, a volume, an open file"),
    ("net:[4026532256]", "a namespace; inode:N whatever it is of"),
    ("cgroup:/a/b", "a cgroup, by its path or its id"),
    ("fd:4242/3  mount:31", "a descriptor, a mount"),
)

_TONES: Mapping[str, Tone] = {"running": "ok", "paused": "paused"}


def examples() -> list[Line]:
    """Return what can be typed."""
    return [((f" {example:<21} ", "accent"), (meaning, "dim")) for example, meaning in EXAMPLES]


def report_lines(report: Report, chosen: int, width: int) -> list[Line]:
    """Return the owners with the chosen one marked, then each answer's chain; `width` in cells."""
    lines: list[Line] = []
    for place, owner in enumerate(report.owners):
        lines.append(_owner(owner, here=place == chosen))
    if not report.answers:
        lines.append((("nothing here is known by that", "bold"),))
        for miss in report.tried:
            lines += _wrapped(f"as {miss.kind}: {miss.reason}", "   ", width)
    for answer in report.answers:
        lines += _answer(answer, width)
    if report.missing and not report.owners:
        lines += [cells.BLANK, (("an owner may have been missed:", "dim"),)]
        for reason in report.missing:
            lines += _wrapped(reason, "   ", width)
    return lines


def _owner(owner: Owner, *, here: bool) -> Line:
    tone = _TONES.get(owner.status, "stopped")
    return (
        ("▸ " if here else "  ", "accent"),
        (f"{MARKS[tone]} ", tone),
        (owner.name, "bold"),
        (f"  {owner.engine or 'no engine'}, {short(owner.id)}, {owner.status}", "dim"),
    )


def _answer(answer: Answer, width: int) -> Iterator[Line]:
    yield cells.BLANK
    what = "" if answer.instead is None else f": {answer.instead}"
    yield ((f"{answer.subject}", "title"), (what, "plain"))
    for number, step in enumerate(answer.chain, 1):
        yield from _wrapped(step, f"{number:>2} ", width)


def _wrapped(text: str, head: str, width: int) -> Iterator[Line]:
    for place, row in enumerate(cells.wrapped(text, max(8, width - len(head)))):
        yield ((head if place == 0 else " " * len(head), "dim"), (row, "plain"))
