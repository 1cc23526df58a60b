"""Which cgroup binds what only `depth` tells: protection, huge pages, io, processors and nodes. Pure."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from collectors.kernel.cgroups import Cgroup, Cpuset, Depth
from inspector.domains.cgroups.limits import Limit, Table, smaller

IO_LIMITS: Final = ("read_bytes", "write_bytes", "read_ops", "write_ops")


class Bounds(NamedTuple):
    """The smallest of a cgroup's own and of those above it; of equal ones the nearest."""

    least: Limit | None = None
    """memory.min. The root protects nothing of itself and limits nothing; siblings share what the
    one above has, so that even less may be protected when all use it (cgroup-v2.rst, memory.min)."""
    low: Limit | None = None
    hugetlb: Mapping[str, Limit] = {}
    """By the size of the pages."""
    io: Mapping[str, Mapping[str, Limit]] = {}
    """By device and `IO_LIMITS`. Of version 1 its own alone: there, what is above does not hold for
    what is below (cgroup-v1/blkio-controller.rst, "Hierarchical Cgroups")."""
    cpus: str | None = None
    """The nearest cgroup, its own or one above, that has fewer processors than the one above it."""
    mems: str | None = None


NONE: Final = Bounds()


def of(table: Table, cgroup: Cgroup) -> Bounds:
    """Return what binds one cgroup: found once for each, from what binds the one above."""
    kept = table.bounds.get((cgroup.hierarchy, cgroup.path))
    if isinstance(kept, Bounds):
        return kept
    found = NONE
    for one in reversed(tuple(table.chain(cgroup))):
        key = (one.hierarchy, one.path)
        known = table.bounds.get(key)
        if isinstance(known, Bounds):
            found = known
            continue
        depth, above = table.depth(one), table.above(one)
        if one.hierarchy and found.io:
            found = found._replace(io={})
        if depth is not None:
            found = _narrowed(found, one.path, depth, table.depth(above) if above else None)
        table.bounds[key] = found
    return found


def _narrowed(found: Bounds, path: str, own: Depth, above: Depth | None) -> Bounds:
    """Return it with a cgroup's own limits; the same object where it has none."""
    changed: dict[str, Any] = {}
    if path != "/":
        for name, value in (("least", own.memory_min_bytes), ("low", own.memory_low_bytes)):
            if value is not None:
                changed[name] = smaller(Limit(value, path), getattr(found, name))
    if own.hugetlb:
        limits = {
            size: Limit(one.limit_bytes, path)
            for size, one in own.hugetlb.items()
            if one.limit_bytes is not None
        }
        changed["hugetlb"] = _least(limits, found.hugetlb)
    if own.io_limits:
        io = {device: dict(limits) for device, limits in found.io.items()}
        for device, said in own.io_limits.items():
            values = {name: getattr(said, name) for name in IO_LIMITS}
            limits = {
                name: Limit(value, path) for name, value in values.items() if value is not None
            }
            io[device] = _least(limits, io.get(device, {}))
        changed["io"] = io
    mine, theirs = own.cpuset, above.cpuset if above is not None else None
    if mine is not None and theirs is not None and mine != theirs:
        changed |= _fewer(path, mine, theirs)
    return found._replace(**changed) if changed else found


def _least(own: Mapping[str, Limit], above: Mapping[str, Limit]) -> dict[str, Limit]:
    bound = dict(above)
    for name, limit in own.items():
        bound[name] = smaller(limit, above.get(name)) or limit
    return bound


def _fewer(path: str, mine: Cpuset, theirs: Cpuset) -> dict[str, str]:
    changed: dict[str, str] = {}
    if mine.effective_cpus != theirs.effective_cpus:
        changed["cpus"] = path
    if mine.effective_mems != theirs.effective_mems:
        changed["mems"] = path
    return changed
