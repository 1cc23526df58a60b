"""What is known of a cgroup besides its graphs: who killed, what each device did, nodes, limits, leftovers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import UNSET, UnsetType

from inspector import units
from inspector.domains.cgroups.model import Cgroup, Io, IoDevice, IoLimit, Memory
from screens.short import ids
from screens.verdict import whose
from screens.widgets import cells, graph
from screens.widgets.cells import Line, Piece

_WIDE: Final = 110
_LABEL: Final = 12
_STAT: Final = (
    "anon_bytes",
    "file_bytes",
    "file_dirty_bytes",
    "file_writeback_bytes",
    "shmem_bytes",
    "kernel_stack_bytes",
    "pagetables_bytes",
    "slab_bytes",
    "sock_bytes",
    "swapcached_bytes",
)
"""Of memory.stat what takes room: the rest counts events."""
_SHOWN: Final = 6
_ROW: Final = 60
"""Cells of several figures in a row: they fit into half of a wide screen, and into a narrow one."""


def figures(groups: Sequence[Cgroup], width: int) -> list[Line]:
    """Return the figures of one path in all its hierarchies, in two columns where there is room."""
    left: list[Line] = []
    right: list[Line] = []
    for one in groups:
        left += [*_killed(one), *_memory(one), *_nodes(one)]
        right += [*_devices(one), *_processor(one), *_left_over(one), *_other(one)]
    if not left and not right:
        return [cells.dim("   nothing more is known of it")]
    if width < _WIDE:
        return [*left, *right]
    return graph.beside([left, right], (width - 3) // 2, gap=3)


def _pair(label: str, value: str) -> Line:
    return ((f" {label:<{_LABEL}} ", "dim"), (value, "plain"))


def _rows(label: str, parts: Sequence[str]) -> Iterator[Line]:
    row = ""
    for part in parts:
        if row and len(row) + len(part) + 2 > _ROW:
            yield _pair(label, row)
            label, row = "", part
        else:
            row = f"{row}  {part}" if row else part
    if row:
        yield _pair(label, row)


def _known(value: int | UnsetType | None) -> int | None:
    return None if value is UNSET else value


def _killed(cgroup: Cgroup) -> Iterator[Line]:
    """Tell where the kernel killed: here, below, in what is gone."""
    memory = cgroup.memory
    if memory is None or memory.oom_kills is None:
        return
    below, gone = _known(memory.oom_kills_below), _known(memory.oom_kills_gone)
    tone: Piece = (str(memory.oom_kills), "failed" if memory.oom_kills else "plain")
    parts: list[Piece] = [(f" {'OOM kills':<{_LABEL}} ", "dim"), tone]
    if below is not None:
        parts.append((f"  in cgroups below {below}", "plain"))
    if gone is not None:
        parts.append((f"  in removed ones {gone}", "failed" if gone else "plain"))
    if memory.oom_group is True:
        parts.append(("  kills all of it at once (memory.oom.group)", "plain"))
    yield tuple(parts)


def _memory(cgroup: Cgroup) -> Iterator[Line]:
    memory = cgroup.memory
    if memory is None:
        return
    yield from _rows("memory", list(_limits(memory, cgroup)))
    parts = [
        f"{name.removesuffix('_bytes').replace('_', ' ')} {units.size(memory.stat[name])}"
        for name in _STAT
        if memory.stat.get(name)
    ]
    yield from _rows("made of", parts)
    events = {name: count for name, count in memory.events.items() if count}
    yield from _rows("events", [f"{name} {units.count(count)}" for name, count in events.items()])


def _limits(memory: Memory, cgroup: Cgroup) -> Iterator[str]:
    own = (cgroup.path,)
    for name, value, owner in (
        ("max", memory.limit_bytes, memory.limited_by),
        ("high", memory.high_bytes, memory.high_limited_by),
        ("swap.max", memory.swap_limit_bytes, memory.swap_limited_by),
        ("low", _known(memory.effective_low_bytes), memory.low_limited_by),
        ("min", _known(memory.effective_min_bytes), memory.min_limited_by),
    ):
        if value:
            by = whose(owner, own) if isinstance(owner, str) else ""
            yield f"{name} {units.size(value)}{f' ({by})' if by else ''}"
    if memory.peak_bytes is not None:
        yield f"peak {units.size(memory.peak_bytes)}"
    swap = memory.swap_bytes
    if swap:
        yield f"in swap {units.size(swap)}"


def _nodes(cgroup: Cgroup) -> Iterator[Line]:
    """Tell on which NUMA nodes its memory is."""
    numa = cgroup.memory.numa if cgroup.memory is not None else UNSET
    if isinstance(numa, UnsetType):
        return
    for name in ("anon", "file", "total"):
        by_node = numa.get(name)
        if by_node:
            parts = [f"{node} {units.size(size)}" for node, size in sorted(by_node.items())]
            yield from _rows(f"{name} on", parts)


def _devices(cgroup: Cgroup) -> Iterator[Line]:
    io = cgroup.io
    if io is None:
        return
    limits = {} if isinstance(io.limits, UnsetType) else {one.device: one for one in io.limits}
    busiest = sorted(io.devices, key=lambda one: -(_rate(one) or one.read_bytes + one.write_bytes))
    for place, one in enumerate(busiest[:_SHOWN]):
        yield _device("io" if not place else "", one, limits.get(one.device))
    if len(busiest) > _SHOWN:
        yield _pair("", f"and {len(busiest) - _SHOWN} more devices")
    yield from _weight(io)


def _rate(one: IoDevice) -> float | None:
    return units.total((one.read_bytes_per_second, one.write_bytes_per_second))


def _device(label: str, one: IoDevice, limit: IoLimit | None) -> Line:
    def speed(value: float | None) -> str:
        return "–" if value is None else f"{units.rate(value)}/s"  # noqa: RUF001 - unknown

    name = one.name or one.device
    words = (
        f"{name:<8} r {speed(one.read_bytes_per_second):>8} w {speed(one.write_bytes_per_second):>8}"
        f"  in all {units.size(one.read_bytes)}/{units.size(one.write_bytes)}"
    )
    bounds = (
        [
            f"{what} ≤{units.rate(most)}/s"
            for what, most in (("r", limit.read_bytes), ("w", limit.write_bytes))
            if most is not None
        ]
        if limit is not None
        else []
    )
    return (*_pair(label, words), (f"  {' '.join(bounds)}" if bounds else "", "pressed"))


def _weight(io: Io) -> Iterator[Line]:
    weight = _known(io.weight)
    if weight is not None:
        yield _pair("io weight", str(weight))


def _processor(cgroup: Cgroup) -> Iterator[Line]:
    cpu = cgroup.cpu
    if cpu is not None:
        parts: list[str] = []
        if cpu.throttled_usec:
            parts.append(f"held back {units.interval(cpu.throttled_usec / 1e6)} in all")
        if cpu.weight is not None or cpu.shares is not None:
            parts.append(
                f"weight {cpu.weight}" if cpu.weight is not None else f"shares {cpu.shares}"
            )
        if cpu.bursts:
            parts.append(f"{cpu.bursts} bursts")
        yield from _rows("cpu", parts)
    cpuset = cgroup.cpuset
    if not isinstance(cpuset, UnsetType) and cpuset is not None:
        cpus, nodes = cpuset.effective_cpus or "all", cpuset.effective_mems or "all"
        by = f" ({ids(cpuset.cpus_limited_by)})" if cpuset.cpus_limited_by else ""
        yield _pair("runs on", f"cpus {cpus}{by}, memory nodes {nodes}")


def _left_over(cgroup: Cgroup) -> Iterator[Line]:
    """Tell of the cgroups below, removed ones too: the kernel keeps them while anything is charged."""
    there, dying = _known(cgroup.descendants), _known(cgroup.dying_descendants)
    if there is not None or dying is not None:
        kept: Piece = (f", {dying} removed and still kept", "pressed" if dying else "dim")
        yield (*_pair("below it", f"{there or 0} cgroups"), kept)
    kind = cgroup.type
    if isinstance(kind, str):
        control = cgroup.subtree_control
        handed = ", ".join(control) if isinstance(control, tuple) and control else "nothing"
        yield _pair("type", f"{kind}; hands down {handed}")


def _other(cgroup: Cgroup) -> Iterator[Line]:
    pids = cgroup.pids
    if pids is not None:
        events = {} if isinstance(pids.events, UnsetType) else pids.events or {}
        peak = _known(pids.peak)
        parts = [f"peak {peak}"] if peak is not None else []
        if events.get("max"):
            parts.append(f"{events['max']} forks refused")
        yield from _rows("tasks", parts)
    if not isinstance(cgroup.hugetlb, UnsetType):
        for size, pages in cgroup.hugetlb.items():
            if not pages.current_bytes and not pages.failures:
                continue
            held = "?" if pages.current_bytes is None else units.size(pages.current_bytes)
            yield _pair("huge pages", f"{size}: {held}, {pages.failures or 0} refused")
    for name, counted in _counted(cgroup):
        yield _pair(name, counted)


def _counted(cgroup: Cgroup) -> Iterator[tuple[str, str]]:
    if not isinstance(cgroup.misc, UnsetType):
        for name, one in cgroup.misc.items():
            yield name, f"{one.current} of {'no limit' if one.limit is None else one.limit}"
    rdma: Mapping[str, Mapping[str, object]] = (
        {} if isinstance(cgroup.rdma, UnsetType) else cgroup.rdma
    )
    for device in rdma:
        yield "rdma", device
