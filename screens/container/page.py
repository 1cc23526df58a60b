"""The sections of a container's page, as lines of text."""

from collections.abc import Callable, Sequence
from typing import Final

from inspector import units
from inspector.domains.containers.model import Container, IdMapping
from inspector.domains.mounts.model import Mount
from inspector.domains.processes import columns as process_columns
from inspector.domains.processes.model import Process
from screens.container.network import network
from screens.container.plots import container_plots
from screens.container.summary import ROLES, summary
from screens.moment import Moment
from screens.widgets import cells, graph, trees
from screens.widgets.cells import Line

_TYPES: Final = ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time")
_MOUNTS: Final = 40
_PROCESSES: Final = 60
_WIDE: Final = 130
_GRAPH_HEIGHT: Final = 7

Section = Callable[[Container, Moment], list[Line]]


def page(container: Container, moment: Moment, width: int) -> list[Line]:
    """Return the page for so many cells: two columns of sections where there is room."""
    lines: list[Line] = [*summary(container, moment, width), cells.BLANK]
    if container.resources is not None:
        plots = container_plots(container, moment)
        across = max(1, min(len(plots), (width + 1) // 28))
        height = _GRAPH_HEIGHT * -(-len(plots) // across)
        drawn = graph.grid(plots, width - 2, height)
        lines += [*(((" ", "plain"), *line) for line in drawn), cells.BLANK]
    if width < _WIDE:
        for section in (*_LEFT, *_RIGHT):
            lines += section(container, moment)
        return lines
    half = (width - 3) // 2
    left = [line for section in _LEFT for line in section(container, moment)]
    right = [line for section in _RIGHT for line in section(container, moment)]
    return lines + graph.beside([left, right], half, gap=3)


def _head(title: str, note: str = "") -> Line:
    return ((f" {title} ", "title"), (note, "dim"))


def _pair(label: str, value: str) -> Line:
    return ((f"   {label:<14} ", "dim"), (value, "plain"))


def _identity(container: Container, moment: Moment) -> list[Line]:
    def when(moment: object) -> str:
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment is not None else "–"  # noqa: RUF001 - unknown

    shim = container.shim
    rows = [
        ("id", container.id),
        ("engine", container.engine or "none: found in the kernel"),
        ("namespace", container.engine_namespace),
        ("pod", container.pod),
        ("role", ROLES.get(container.role)),
        ("runs inside", moment.container_name(container.parent)),
        ("image", container.image),
        ("digest", container.image_digest),
        ("command", " ".join(container.command) or None),
        ("runtime", container.runtime),
        ("shim", f"pid {shim.pid} {shim.version or ''} {shim.address or ''}" if shim else None),
        ("created", when(container.created_at)),
        ("started", when(container.started_at)),
        ("finished", when(container.finished_at) if container.finished_at else None),
        ("exit status", None if container.exit_code is None else str(container.exit_code)),
    ]
    lines = [_head("IDENTITY"), *(_pair(label, value) for label, value in rows if value)]
    lines += [_pair(key, value) for key, value in sorted(container.labels.items())]
    return [*lines, cells.BLANK]


def _processes(container: Container, moment: Moment) -> list[Line]:
    found = moment.processes_by_container.get(container.id, ())
    lines = [_head("PROCESSES", f"{len(container.pids)} · pid here, pid inside, user, cpu, memory")]

    def above(process: Process) -> str:
        return str(process.ppid)

    branches = trees.flatten(sorted(found, key=lambda p: p.pid), lambda p: str(p.pid), above)
    for branch in branches[:_PROCESSES]:
        process = branch.item
        inside = process.namespace_pids[-1] if len(process.namespace_pids) > 1 else None
        lines.append(
            (
                (f"   {process.pid:>7} ", "plain"),
                (f"{'' if inside is None else inside:>6} ", "accent"),
                (f"{process.uid:>6} ", "dim"),
                (f"{process_columns.CPU.text(process):>5} ", "plain"),
                (f"{process_columns.MEMORY.text(process):>6}  ", "plain"),
                (branch.prefix, "dim"),
                (process_columns.COMMAND.text(process), "plain"),
            )
        )
    if len(branches) > _PROCESSES:
        lines.append((("   …", "dim"), (f" and {len(branches) - _PROCESSES} more", "dim")))
    return [*lines, cells.BLANK]


def _namespaces(container: Container, moment: Moment) -> list[Line]:
    lines = [_head("NAMESPACES", "n shows them in their tree")]
    for kind in _TYPES:
        inode = container.namespaces.get(kind)
        if inode is None:
            continue
        others = [moment.container_name(one) or one for one in container.shared_with.get(kind, ())]
        if kind in container.shared_with_host:
            words: Line = (("· the host's", "dim"),)
        elif others:
            words = (("● ", "accent"), (f"shared with {', '.join(others)}", "plain"))
        else:
            words = (("● ", "accent"), ("its own", "plain"))
        lines.append(((f"   {kind:<7}", "plain"), (f"{inode:<12}", "dim"), *words))
    return [*lines, cells.BLANK]


def _cgroups(container: Container, _moment: Moment) -> list[Line]:
    lines = [_head("CGROUPS", "c shows them with their limits")]
    paths: dict[str, list[str]] = {}
    for controller, path in container.cgroups.items():
        paths.setdefault(path, []).append(controller or "unified")
    for path, controllers in sorted(paths.items()):
        lines.append(_pair(",".join(sorted(controllers))[:14], path))
    return [*lines, cells.BLANK]


def _rootfs(container: Container, _moment: Moment) -> list[Line]:
    rootfs = container.rootfs
    if rootfs is None:
        return [_head("ROOT FILESYSTEM"), _pair("", "the host's"), cells.BLANK]
    lines = [_head("ROOT FILESYSTEM", "l shows its layers")]
    lines.append(_pair("driver", rootfs.driver + (", read-only" if rootfs.read_only else "")))
    if rootfs.path:
        lines.append(_pair("path", rootfs.path))
    lowers = sum(layer.role == "lower" for layer in rootfs.layers)
    if lowers:
        lines.append(_pair("lower layers", str(lowers)))
    changes = rootfs.changes
    if changes is not None:
        counted = f"+{changes.added} ~{changes.modified + changes.copied_up} -{changes.deleted}"
        more = "" if changes.complete else " at least"
        lines.append(_pair("changed", f"{counted}{more}, {units.size(changes.size_bytes)}"))
    return [*lines, cells.BLANK]


def _mounts(container: Container, moment: Moment) -> list[Line]:
    inode = container.namespaces.get("mnt")
    found = [] if "mnt" in container.shared_with_host else _mounts_in(inode, moment)
    if not found:
        return []
    lines = [_head("MOUNTS", str(len(found)))]
    for one in found[:_MOUNTS]:
        mode = "ro" if "ro" in one.options else "rw"
        lines.append(
            (
                (f"   {mode} ", "dim"),
                (f"{one.fstype:<9} ", "accent"),
                (one.mountpoint, "plain"),
                ("" if one.root in {"/", one.mountpoint} else f" from {one.root}", "dim"),
            )
        )
    if len(found) > _MOUNTS:
        lines.append(((f"   … and {len(found) - _MOUNTS} more", "dim"),))
    return [*lines, cells.BLANK]


def _mounts_in(namespace: int | None, moment: Moment) -> list[Mount]:
    return [one for one in moment.mounts if one.namespace == namespace]


def _security(container: Container, _moment: Moment) -> list[Line]:
    held = container.security
    if held is None:
        return []
    lines = [_head("SECURITY", "as the kernel has it, not as it was asked for")]
    for name, capabilities in held.capabilities.items():
        lines += _wrapped(name, [one.removeprefix("CAP_").lower() for one in capabilities])
    lines.append(_pair("seccomp", held.seccomp or "?"))
    nnp = {True: "yes", False: "no", None: "?"}[held.no_new_privs]
    lines.append(_pair("no new privs", nnp))
    lines.append(_pair("lsm", held.lsm or "none"))
    lines.append(_pair("uid map", id_map(held.uid_map)))
    lines.append(_pair("gid map", id_map(held.gid_map)))
    lines += _wrapped("masked", list(held.masked_paths))
    lines += _wrapped("read-only", list(held.readonly_paths))
    return [*lines, cells.BLANK]


def id_map(mappings: Sequence[IdMapping]) -> str:
    """Return a uid or gid map as `0-65535 → 100000`; the identity is said as such."""
    if not mappings:
        return "none"
    parts: list[str] = []
    for one in mappings:
        if one.inside == one.outside == 0 and one.count >= 2**32 - 1:
            return "identity: inside is outside"
        last = one.inside + one.count - 1
        span = str(one.inside) if one.count == 1 else f"{one.inside}-{last}"
        parts.append(f"{span} → {one.outside}")
    return ", ".join(parts)


def _wrapped(label: str, words: Sequence[str], width: int = 42) -> list[Line]:
    lines: list[Line] = []
    row = ""
    for word in words or ["none"]:
        if row and len(row) + len(word) + 1 > width:
            lines.append(_pair("" if lines else label, row))
            row = word
        else:
            row = f"{row} {word}".strip()
    return [*lines, _pair("" if lines else label, row)]


_LEFT: Final[tuple[Section, ...]] = (_processes, _namespaces, _cgroups, _rootfs, network)
_RIGHT: Final[tuple[Section, ...]] = (_identity, _security, _mounts)
