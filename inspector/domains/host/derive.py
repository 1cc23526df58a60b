"""The host's summary."""

from typing import Final

from collectors.kernel import cgroups, host, namespaces, processes
from collectors.kernel.namespaces import TYPES
from inspector.domains.host.model import CgroupHierarchy, Host, HostCgroup
from inspector.sample import Sample, elapsed, rate

_HERTZ: Final = 100
"""USER_HZ: what the kernel counts /proc/stat in, whatever its own tick is."""


def derive(previous: Sample | None, current: Sample) -> Host:
    """Return it; what was not read is null."""
    said = current.get(host.KEY)
    earlier = previous.get(host.KEY) if previous is not None else None
    ticks = current.get(processes.KEY)
    busy = rate(
        earlier.cpu_busy_ticks if earlier else None,
        said.cpu_busy_ticks if said else None,
        elapsed(previous, current, host.KEY),
    )
    return Host(
        hostname=said.hostname if said else None,
        kernel=said.kernel if said else None,
        boot_id=said.boot_id if said else None,
        uptime_seconds=said.uptime_seconds if said else None,
        cpus=said.cpus if said else None,
        memory_bytes=said.memory_bytes if said else None,
        memory_available_bytes=said.memory_available_bytes if said else None,
        cpu_busy_cores=None
        if busy is None
        else busy / (ticks.ticks_per_second if ticks else _HERTZ),
        os=said.os if said else None,
        cgroup=_cgroup(current),
        init_namespaces=_init(current),
    )


def _cgroup(current: Sample) -> HostCgroup | None:
    reading = current.get(cgroups.KEY) or current.get(cgroups.HIERARCHIES)
    if reading is None:
        return None
    return HostCgroup(
        mode=reading.mode,
        hierarchies=tuple(
            CgroupHierarchy(one.version, one.mountpoint, one.controllers)
            for one in reading.hierarchies
        ),
    )


def _init(current: Sample) -> dict[str, int | None]:
    spaces = current.get(namespaces.KEY)
    return dict(zip(TYPES, spaces.init, strict=True)) if spaces else {}
