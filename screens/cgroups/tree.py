"""The tree of cgroups: rows, and how their cells are painted."""

from collections.abc import Callable, Collection
from typing import Final

from inspector import units
from inspector.columns import Column
from inspector.domains.cgroups import columns
from inspector.domains.cgroups.limits import THROTTLED
from inspector.domains.cgroups.model import Cgroup
from inspector.domains.cgroups.verdicts import NEAR, STALLED
from screens.moment import Moment
from screens.short import ids
from screens.verdict import judge_cgroup
from screens.widgets import cells
from screens.widgets.cells import UNKNOWN, Line, Tone
from screens.widgets.table_columns import Shown
from screens.widgets.trees import Branch, flatten

OPEN_AT_FIRST: Final = frozenset({"memory", "cpu", "cpuacct"})
"""v1 hierarchies with these controllers are open when there are many hierarchies."""


def key(cgroup: Cgroup) -> str:
    """Return a cgroup's identity among all hierarchies."""
    return f"{cgroup.hierarchy}:{cgroup.path}"


def parent(cgroup: Cgroup) -> str | None:
    """Return the identity of the cgroup above; None for a root."""
    if cgroup.path == "/":
        return None
    return f"{cgroup.hierarchy}:{cgroup.path.rsplit('/', 1)[0] or '/'}"


def branches(cgroups: Collection[Cgroup], folded: Collection[str]) -> list[Branch[Cgroup]]:
    """Return the rows, hierarchy by hierarchy, v2 first."""
    ordered = sorted(cgroups, key=lambda one: (one.hierarchy, one.path))
    return flatten(ordered, key, parent, folded)


def folded_at_first(cgroups: Collection[Cgroup]) -> set[str]:
    """Return which roots to fold where many hierarchies would bury each other."""
    hierarchies = {one.hierarchy for one in cgroups}
    if len(hierarchies) <= 2:
        return set()
    return {
        f"{hierarchy}:/"
        for hierarchy in hierarchies
        if hierarchy and not OPEN_AT_FIRST & set(hierarchy.split(","))
    }


def branch_columns(moment: Callable[[], Moment | None]) -> tuple[Column[Branch[Cgroup]], ...]:
    """Return the subject's columns, for rows of a tree: what a filter reads; containers by name."""

    def name(branch: Branch[Cgroup]) -> str | None:
        now = moment()
        return now.container_name(branch.item.container) if now else None

    lifted = tuple(_lifted(column) for column in columns.COLUMNS)
    container = columns.CONTAINER
    named = Column[Branch[Cgroup]](container.id, container.title, name, width=container.width)
    return tuple(named if column.id == container.id else column for column in lifted)


def _lifted(column: Column[Cgroup]) -> Column[Branch[Cgroup]]:
    return Column(
        column.id,
        column.title,
        lambda branch: column.value(branch.item),
        lambda branch: column.text(branch.item),
        unit=column.unit,
        width=column.width,
        align=column.align,
        help=column.help,
    )


def table_columns(moment: Callable[[], Moment | None]) -> tuple[Shown[Branch[Cgroup]], ...]:
    """Return the columns of the table."""

    def container(branch: Branch[Cgroup], _width: int) -> Line:
        return _container(branch.item, moment())

    lifted = {column.id: column for column in branch_columns(moment)}
    return (
        Shown(column=lifted["path"], paint=_name, priority=0, width=26, grow=4, sortable=False),
        Shown(
            column=lifted["container"],
            paint=container,
            priority=1,
            width=12,
            grow=1,
            most=24,
            sortable=False,
        ),
        Shown(
            column=lifted["cpu.busy_cores"],
            paint=_cpu,
            priority=0,
            width=11,
            title="CPU ⊥limit",
            sortable=False,
        ),
        Shown(column=lifted["cpu.throttled_ratio"], paint=_throttled, priority=6, sortable=False),
        Shown(
            column=lifted["memory.working_set_bytes"],
            paint=_memory,
            priority=0,
            width=13,
            title="MEMORY ⊥limit",
            sortable=False,
        ),
        Shown(column=lifted["pids.current"], paint=_pids, priority=3, sortable=False),
        Shown(column=lifted["io.bytes_per_second"], priority=4, title="IO/s", sortable=False),
        Shown(column=lifted["pressure.cpu"], paint=_psi("cpu"), priority=5, sortable=False),
        Shown(column=lifted["pressure.memory"], paint=_psi("memory"), priority=7, sortable=False),
        Shown(column=lifted["pressure.io"], paint=_psi("io"), priority=8, sortable=False),
        Shown(column=lifted["processes"], priority=9, sortable=False),
    )


def short_name(cgroup: Cgroup) -> str:
    """Return the last part of a cgroup's path; for a root, the hierarchy."""
    if cgroup.path == "/":
        return f"/ {cgroup.hierarchy or 'unified'}"
    return ids(cgroup.path.rsplit("/", 1)[-1])


def _name(branch: Branch[Cgroup], _width: int) -> Line:
    cgroup = branch.item
    tone: Tone = "bold" if cgroup.container or cgroup.path == "/" else "plain"
    if cgroup.populated is False:
        tone = "dim"
    return ((branch.prefix, "dim"), (branch.mark, "dim"), (short_name(cgroup), tone))


def _container(cgroup: Cgroup, moment: Moment | None) -> Line:
    name = moment.container_name(cgroup.container) if moment else None
    if cgroup.frozen:
        return (("❄ ", "paused"), (name or "frozen", "paused"))
    if not name:
        return cells.BLANK
    verdict = judge_cgroup(cgroup)
    return ((f"{verdict.mark} ", verdict.tone), (name, "plain"))


def _near(used: int | None, limit: int | None) -> bool:
    return used is not None and bool(limit) and used >= (limit or 0) * NEAR


def _cpu(branch: Branch[Cgroup], _width: int) -> Line:
    cpu = branch.item.cpu
    if cpu is None:
        return cells.BLANK
    tone: Tone = "pressed" if (cpu.throttled_ratio or 0) >= THROTTLED else "plain"
    busy = UNKNOWN[0] if cpu.busy_cores is None else units.cores(cpu.busy_cores)
    limit = _limit(
        branch.item, cpu.limited_by, None if cpu.limit_cores is None else f"{cpu.limit_cores:g}"
    )
    return ((busy, tone), (f" {limit:<5}", tone if tone == "pressed" else "dim"))


def _limit(cgroup: Cgroup, limited_by: str | None, text: str | None) -> str:
    """Return the limit with its sign; one of an ancestor stands there already, so only ⊥ here."""
    if text is None:
        return ""
    return f"⊥{text}" if limited_by in {None, cgroup.path} else f"↑{text}"


def _throttled(branch: Branch[Cgroup], _width: int) -> Line:
    ratio = branch.item.cpu.throttled_ratio if branch.item.cpu else None
    if ratio is None:
        return cells.BLANK
    return ((units.percent(ratio), "pressed" if ratio >= THROTTLED else "dim"),)


def _memory(branch: Branch[Cgroup], _width: int) -> Line:
    memory, used = branch.item.memory, columns.memory_used(branch.item)
    if memory is None or used is None:
        return cells.BLANK
    tone: Tone = "pressed" if _near(used, memory.limit_bytes) else "plain"
    size = None if memory.limit_bytes is None else units.size(memory.limit_bytes)
    limit = _limit(branch.item, memory.limited_by, size)
    return ((units.size(used), tone), (f" {limit:<6}", tone if tone == "pressed" else "dim"))


def _pids(branch: Branch[Cgroup], _width: int) -> Line:
    pids = branch.item.pids
    if pids is None or pids.current is None:
        return cells.BLANK
    near = pids.limit is not None and pids.current >= pids.limit * NEAR
    tone: Tone = "pressed" if near else "plain"
    limit = "" if pids.limit is None else f" ⊥{pids.limit}"
    return ((str(pids.current), tone), (limit, tone if near else "dim"))


def _psi(resource: str) -> Callable[[Branch[Cgroup], int], Line]:
    def paint(branch: Branch[Cgroup], _width: int) -> Line:
        share = columns.pressure(branch.item, resource)
        if share is None:
            return cells.BLANK
        return ((units.percent(share), "pressed" if share >= STALLED else "dim"),)

    return paint
