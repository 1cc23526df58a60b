"""The hierarchies of cgroup v1 as one tree: what each of them says of a path, in one row."""

from collections.abc import Sequence
from typing import Final, TypeVar

from msgspec import structs

from inspector.domains.cgroups.model import Cgroup, Cpu, Memory, Pids
from screens.container.plots import cgroup_plots
from screens.moment import Moment
from screens.widgets.graph import Plot

TOGETHER: Final = "all"
"""What stands for the hierarchy of a row that is of all of them."""

Part = TypeVar("Part", Cpu, Memory, Pids)


def members(cgroups: Sequence[Cgroup]) -> dict[str, list[Cgroup]]:
    """Return the cgroups of each path, v2's first."""
    found: dict[str, list[Cgroup]] = {}
    for cgroup in sorted(cgroups, key=lambda one: one.hierarchy):
        found.setdefault(cgroup.path, []).append(cgroup)
    return found


def together(cgroups: Sequence[Cgroup]) -> list[Cgroup]:
    """Return one cgroup for each path; of a value that several hierarchies know, the first one's."""
    return [_joined(path, same) for path, same in members(cgroups).items()]


def plots(cgroup: Cgroup, moment: Moment) -> list[Plot]:
    """Return the graphs of all cgroups of a path, each graph once."""
    found: dict[str, Plot] = {}
    for one in members(moment.cgroups).get(cgroup.path, ()):
        for plot in cgroup_plots(one, moment):
            found.setdefault(plot.title.partition(" ")[0], plot)
    return list(found.values())


def _joined(path: str, same: Sequence[Cgroup]) -> Cgroup:
    counted = [one.processes for one in same if one.processes is not None]
    return Cgroup(
        path=path,
        hierarchy=TOGETHER,
        inode=same[0].inode,
        controllers=tuple(sorted({name for one in same for name in one.controllers})),
        populated=any(one.populated for one in same),
        frozen=any(one.frozen for one in same),
        processes=max(counted, default=None),
        container=next((one.container for one in same if one.container), None),
        cpu=_merged([one.cpu for one in same]),
        memory=_merged([one.memory for one in same]),
        io=next((one.io for one in same if one.io is not None and one.io.devices), None),
        pids=_merged([one.pids for one in same]),
        pressure=next((one.pressure for one in same if one.pressure), None),
        findings=tuple({one.sentence: one for each in same for one in each.findings}.values()),
    )


def _merged(parts: Sequence[Part | None]) -> Part | None:
    known = [part for part in parts if part is not None]
    if not known:
        return None
    if len(known) == 1:
        return known[0]
    missing = {
        name: next((value for part in known if (value := getattr(part, name)) is not None), None)
        for name in known[0].__struct_fields__
        if getattr(known[0], name) is None
    }
    return structs.replace(known[0], **missing)
