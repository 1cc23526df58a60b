"""What is plotted of a container and of a cgroup: the same graphs, from the same metrics."""

from collections.abc import Sequence
from typing import Final

from inspector import units
from inspector.domains.cgroups.model import Cgroup, Cpu, Memory, Pids
from inspector.domains.containers.model import Container
from inspector.history import Metric, Track
from screens.moment import Moment
from screens.verdict import own_cgroups, whose
from screens.widgets.graph import Plot

_SAMPLES: Final = 240


def container_plots(container: Container, moment: Moment) -> list[Plot]:
    """Return a container's graphs: cpu, memory, io, pids, pressure, network."""
    used, track = container.resources, moment.history.container(container)
    if used is None or track is None:
        return []
    plots = _plots(
        (used.cpu, used.memory, used.pids), track, own_cgroups(container), moment.interval
    )
    if used.network is not None:
        received, sent = track.last("rx", _SAMPLES), track.last("tx", _SAMPLES)
        plots.append(
            Plot(
                title="net rx+tx/s",
                values=_summed(received, sent),
                show=units.rate,
                interval=moment.interval,
                floor=1024,
            )
        )
    return plots


def cgroup_plots(cgroup: Cgroup, moment: Moment) -> list[Plot]:
    """Return a cgroup's graphs, those that its controllers have numbers for."""
    track = moment.history.cgroup(cgroup)
    if track is None:
        return []
    own = (cgroup.path,)
    return _plots((cgroup.cpu, cgroup.memory, cgroup.pids), track, own, moment.interval)


def _plots(
    parts: tuple[Cpu | None, Memory | None, Pids | None],
    track: Track,
    own: Sequence[str],
    interval: float,
) -> list[Plot]:
    cpu, memory, pids = parts
    kills = _kills(track)
    plots = [
        Plot(
            title="cpu cores",
            values=track.last("cpu_cores", _SAMPLES),
            show=units.cores,
            limit=cpu.limit_cores if cpu else None,
            limited_by=_by(cpu.limited_by, own) if cpu else "",
            interval=interval,
            floor=0.05,
        ),
        Plot(
            title="memory",
            values=track.last("memory_bytes", _SAMPLES),
            show=units.size,
            limit=memory.limit_bytes if memory else None,
            limited_by=_by(memory.limited_by, own) if memory else "",
            marks=frozenset(kills),
            mark_text="OOM",
            interval=interval,
        ),
        Plot(
            title="io/s",
            values=_summed(track.last("io_read", _SAMPLES), track.last("io_write", _SAMPLES)),
            show=units.rate,
            interval=interval,
            floor=4096,
        ),
        Plot(
            title="pids",
            values=track.last("pids", _SAMPLES),
            show=lambda value: f"{value:.0f}",
            limit=pids.limit if pids else None,
            limited_by=_by(pids.limited_by, own) if pids else "",
            interval=interval,
        ),
        _pressure(track, interval),
    ]
    return [plot for plot in plots if any(value is not None for value in plot.values)]


def _pressure(track: Track, interval: float) -> Plot:
    """Return the worst pressure of each sample, named after what is waited for the most now."""
    metrics: tuple[Metric, ...] = ("cpu_pressure", "memory_pressure", "io_pressure")
    series = [track.last(metric, _SAMPLES) for metric in metrics]
    values = [
        max((value for value in column if value is not None), default=None)
        for column in zip(*series, strict=True)
    ]
    latest = {
        metric.removesuffix("_pressure"): one[-1] or 0.0
        for metric, one in zip(metrics, series, strict=True)
    }
    worst = max(latest, key=lambda name: latest[name])
    name = f"waits for {worst}" if latest[worst] > 0 else "waits (PSI)"
    return Plot(title=name, values=values, show=units.percent, interval=interval, floor=0.05)


def _by(limited_by: str | None, own: Sequence[str]) -> str:
    words = whose(limited_by, own)
    return "its own" if words == "its own cgroup" else f"of {words}" if words else ""


def _kills(track: Track) -> list[int]:
    totals = track.last("oom_kills", _SAMPLES)
    places: list[int] = []
    before: float | None = None
    for place, total in enumerate(totals):
        if total is not None:
            if before is not None and total > before:
                places.append(place)
            before = total
    return places


def _summed(first: Sequence[float | None], second: Sequence[float | None]) -> list[float | None]:
    return [
        None if one is None and other is None else (one or 0.0) + (other or 0.0)
        for one, other in zip(first, second, strict=True)
    ]
