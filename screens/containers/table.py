"""The table of containers: how each cell is painted."""

from typing import Final

from inspector import units
from inspector.columns import Column
from inspector.domains.cgroups.limits import THROTTLED
from inspector.domains.cgroups.verdicts import NEAR
from inspector.domains.containers import columns
from inspector.domains.containers.model import Container
from inspector.history import Metric
from screens.moment import Moment
from screens.verdict import Verdict, judge
from screens.widgets import cells
from screens.widgets.cells import UNKNOWN, Line, Tone
from screens.widgets.table_columns import Shown

_SECONDS: Final = 60


class Painter:
    """Paints cells from the moment that is shown; judges each container once a moment."""

    def __init__(self) -> None:
        self.moment: Moment | None = None
        self._verdicts: dict[str, Verdict] = {}

    def show(self, moment: Moment) -> None:
        """Paint from this moment on."""
        self.moment = moment
        self._verdicts = {}

    def verdict(self, container: Container) -> Verdict:
        """Return the verdict on a container."""
        found = self._verdicts.get(container.id)
        if found is None:
            found = self._verdicts[container.id] = judge(container)
        return found

    def mark(self, container: Container, _width: int) -> Line:
        """The state as a sign."""
        verdict = self.verdict(container)
        return ((verdict.mark, verdict.tone),)

    def name(self, container: Container, _width: int) -> Line:
        """The name, quieter where it does not run."""
        tone: Tone = "bold" if container.status in {"running", "paused"} else "dim"
        return ((container.name, tone),)

    def engine(self, container: Container, _width: int) -> Line:
        """The engine; a dash where the kernel alone knows of it."""
        return ((container.engine, "plain"),) if container.engine else (("none", "dim"),)

    def image(self, container: Container, _width: int) -> Line:
        """The image, or what there is instead; a pod's sandbox says that it is one."""
        if container.role == "pod_sandbox":
            return (("pod sandbox", "accent"), (f" {container.image or ''}", "dim"))
        if container.role == "sandbox":
            return (("own sandbox", "accent"),)
        if container.image:
            return ((container.image, "dim"),)
        return (("host files" if container.rootfs is None else container.rootfs.driver, "dim"),)

    def cpu(self, container: Container, _width: int) -> Line:
        """Cores in use, and the limit where there is one."""
        used = columns.cpu(container)
        if used is None:
            return (UNKNOWN, ("      ", "plain"))
        tone: Tone = "pressed" if (used.throttled_ratio or 0) >= THROTTLED else "plain"
        busy = "–" if used.busy_cores is None else units.cores(used.busy_cores)  # noqa: RUF001 - unknown
        limit = "" if used.limit_cores is None else f"⊥{_short(used.limit_cores)}"
        return ((busy, tone), (f" {limit:<5}", "pressed" if tone == "pressed" else "dim"))

    def cpu_spark(self, container: Container, width: int) -> Line:
        """The last minute of it."""
        limit = columns.cpu(container)
        top = max(0.1, limit.limit_cores or 0.0) if limit else 0.1
        return ((self._spark(container, "cpu_cores", width, top), "accent"),)

    def memory_spark(self, container: Container, width: int) -> Line:
        """The last minute of memory."""
        used = columns.memory_used(container) or 0
        limits = columns.memory(container)
        top = (limits.limit_bytes if limits else None) or used * 1.6
        return ((self._spark(container, "memory_bytes", width, top), "accent"),)

    def of_limit(self, container: Container, width: int) -> Line:
        """A bar of memory over the limit, the share, the limit."""
        used, ratio = columns.memory(container), columns.memory_ratio(container)
        if used is None:
            return cells.BLANK
        if ratio is None:
            text = "no limit" if used.limit_bytes is None else units.size(used.limit_bytes)
            return ((text, "dim"),)
        tone: Tone = "pressed" if ratio >= NEAR else "plain"
        limit = units.size(used.limit_bytes or 0)
        bar_width = max(4, width - 11)
        return (
            (cells.bar(ratio, bar_width), tone),
            (f"{units.percent(ratio):>5} ", tone),
            (f"{limit:>5}", "dim"),
        )

    def io(self, container: Container, _width: int) -> Line:
        """Read and written, a second."""
        if container.resources is None or container.resources.io is None:
            return (UNKNOWN,)
        return cells.plain(columns.IO.text(container))

    def network(self, container: Container, _width: int) -> Line:
        """Received and sent, a second; the host's where it has none of its own."""
        if "net" in container.shared_with_host:
            return (("host's", "dim"),)
        return cells.plain(columns.NETWORK.text(container))

    def pids(self, container: Container, _width: int) -> Line:
        """Tasks, and how many it may have."""
        used = columns.pids(container)
        if used is None or used.current is None:
            return (UNKNOWN,)
        near = used.limit is not None and used.current >= used.limit * NEAR
        tone: Tone = "pressed" if near else "plain"
        limit = "" if used.limit is None else f"/{used.limit}"
        return ((str(used.current), tone), (limit, tone if near else "dim"))

    def age(self, container: Container, _width: int) -> Line:
        """How long ago it was started."""
        since = container.started_at or container.created_at
        if since is None or self.moment is None:
            return (UNKNOWN,)
        seconds = (self.moment.frame.taken_at - since).total_seconds()
        return ((units.duration(seconds), "dim"),)

    def note(self, container: Container, width: int) -> Line:
        """Why it is not simply green: the worst in whole sentences as far as they fit."""
        found = [one for one in self.verdict(container).reasons if one.tone != "dim"] or list(
            self.verdict(container).reasons
        )
        line: Line = ()
        for whole in range(len(found), -1, -1):
            line = tuple(
                (f"{one.full if place < whole else one.brief}  ", one.tone)
                for place, one in enumerate(found)
            )
            if cells.length(line) <= width + 2:
                break
        return line

    def _spark(self, container: Container, metric: Metric, width: int, top: float) -> str:
        if self.moment is None:
            return ""
        track = self.moment.history.container(container)
        if track is None:
            return ""
        count = max(width, round(_SECONDS / max(0.1, self.moment.interval)))
        values = track.last(metric, count)
        return cells.spark(cells.bucket(values, width), top=top)


def _short(cores: float) -> str:
    return f"{cores:.2f}".rstrip("0").rstrip(".")


_MARK: Final = Column[Container]("status", "", lambda c: c.status, width=1)
_CPU_SPARK: Final = Column[Container]("cpu.spark", "60 s", lambda _: None, width=8)
_MEMORY_SPARK: Final = Column[Container]("memory.spark", "60 s", lambda _: None, width=8)
_NOTE: Final = Column[Container]("note", "", lambda _: None, width=24)


def table_columns(painter: Painter) -> tuple[Shown[Container], ...]:
    """Return the columns, those that give way first with the largest priority."""
    memory = columns.MEMORY
    started = columns.STARTED
    age = Column[Container](
        started.id, "AGE", lambda c: _negative(started.value(c)), width=4, align="right"
    )
    return (
        Shown(column=_MARK, paint=painter.mark, priority=0),
        Shown(column=columns.NAME, paint=painter.name, priority=0, width=20, grow=3, most=40),
        Shown(column=columns.ENGINE, paint=painter.engine, priority=3),
        Shown(column=columns.IMAGE, paint=painter.image, priority=6, width=14, grow=2, most=30),
        Shown(column=columns.CPU, paint=painter.cpu, priority=0, width=11, title="CPU ⊥limit"),
        Shown(
            column=_CPU_SPARK, paint=painter.cpu_spark, priority=2, sortable=False, grow=1, most=15
        ),
        Shown(column=memory, priority=0),
        Shown(
            column=columns.MEMORY_RATIO,
            paint=painter.of_limit,
            priority=1,
            width=17,
            grow=1,
            most=20,
        ),
        Shown(
            column=_MEMORY_SPARK,
            paint=painter.memory_spark,
            priority=10,
            sortable=False,
            grow=1,
            most=15,
        ),
        Shown(column=columns.IO, paint=painter.io, priority=7),
        Shown(column=columns.NETWORK, paint=painter.network, priority=8),
        Shown(column=columns.PIDS, paint=painter.pids, priority=5),
        Shown(column=age, paint=painter.age, priority=4),
        Shown(column=_NOTE, paint=painter.note, priority=9, sortable=False, width=22, grow=6),
    )


def _negative(value: object) -> float | None:
    return -value if isinstance(value, int | float) else None


def group(container: Container) -> tuple[int, str]:
    """Return what a container belongs to, in the order to show it: a project, a pod, an engine, nobody."""
    project = container.labels.get("com.docker.compose.project")
    if project:
        return (0, f"compose: {project}")
    name = container.labels.get("io.kubernetes.pod.name")
    if name:
        return (1, f"pod: {container.labels.get('io.kubernetes.pod.namespace', '?')}/{name}")
    if container.pod:
        return (1, f"pod: {container.pod}")
    if container.engine:
        return (2, container.engine)
    if container.role == "sandbox":
        return (4, "programs that shut parts of themselves in")
    return (3, "no engine: found in the kernel alone")
