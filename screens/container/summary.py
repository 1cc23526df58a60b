"""The pane below the table: what matters of the selected container, in a few lines."""

from collections.abc import Sequence
from typing import Final

from inspector import units
from inspector.domains.containers import columns
from inspector.domains.containers.model import Container
from screens.moment import Moment
from screens.short import ids
from screens.verdict import MARKS, Verdict, judge, own_cgroups, whose
from screens.widgets import cells
from screens.widgets.cells import Line, Piece

_TYPES: Final = ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time")
_LABEL: Final = 9
_FREE: Final = "runs freely: no limit is near, nothing waits"
ROLES: Final = {
    "pod_sandbox": "holds a pod's namespaces",
    "sandbox": "a program's own sandbox",
}
"""What a container is for, where it is not simply one."""


def summary(container: Container, moment: Moment, width: int, height: int = 40) -> list[Line]:
    """Return what matters of a container in at most `height` lines, the most important first."""
    verdict = judge(container)
    lines: list[Line] = [
        (
            (f" {verdict.mark} ", verdict.tone),
            (container.name, "bold"),
            (f"  {container.engine or 'no engine'}", "dim"),
            (f"  {ROLES[container.role]}" if container.role in ROLES else "", "accent"),
            (f"  {container.image}  " if container.image else "  ", "dim"),
            *(() if verdict.reasons else ((_FREE, verdict.tone),)),
        ),
        *verdict_lines(verdict, width),
    ]
    for label, parts in (
        ("process", process(container, moment)),
        ("uses", uses(container)),
        ("isolated", isolation(container, moment)),
        ("security", security(container)),
        ("found by", found_by(container)),
    ):
        lines += _rows(label, parts, width)
    last: Line = (
        (f" {'as JSON':<{_LABEL}}", "dim"),
        (f"cinspect dump --container {container.name}", "accent"),
    )
    return [*lines[: max(1, height - 1)], last]


def verdict_lines(verdict: Verdict, width: int) -> list[Line]:
    """Return a sentence a line, or more lines where it is long; what is over steps back."""
    lines: list[Line] = []
    for one in verdict.reasons:
        mark = MARKS.get(one.tone, " ")
        for place, row in enumerate(cells.wrapped(one.full, max(20, width - _LABEL - 4))):
            label = "" if lines else "verdict"
            sign = f"{mark} " if not place else "  "
            lines.append(((f" {label:<{_LABEL}}", "dim"), (sign, one.tone), (row, one.tone)))
    return lines


def _rows(label: str, parts: Sequence[Piece], width: int) -> list[Line]:
    """Return the parts behind a label, in as many lines as they need, none of them torn apart."""
    rows: list[list[Piece]] = [[]]
    for part in parts:
        row = rows[-1]
        if row and cells.length(row) + cells.length((part,)) + 3 + _LABEL + 1 > width:
            row = []
            rows.append(row)
        if row:
            row.append((" · ", "dim"))
        row.append(part)
    return [
        ((f" {label if not place else '':<{_LABEL}}", "dim"), *row)
        for place, row in enumerate(rows)
    ]


def process(container: Container, moment: Moment) -> list[Piece]:
    """Return pid outside and inside, shim, start, cgroup."""
    parts: list[Piece] = []
    if container.pid is not None:
        found = moment.process_by_pid.get(container.pid)
        inside = f" ({found.namespace_pids[-1]} inside)" if found and found.namespace_pids else ""
        parts.append((f"pid {container.pid}{inside}", "plain"))
    if container.shim is not None:
        parts.append((f"shim {container.shim.pid} {container.runtime or ''}".rstrip(), "plain"))
    elif container.runtime:
        parts.append((container.runtime, "plain"))
    since = container.started_at or container.created_at
    if since is not None:
        ago = units.long_duration((moment.frame.taken_at - since).total_seconds())
        word = "started" if container.started_at else "created"
        parts.append((f"{word} {ago} ago", "plain"))
    paths = sorted(set(own_cgroups(container)))
    if paths:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        parts.append((f"cgroup {ids(paths[0])}{more}", "plain"))
    return parts or [("no process", "dim")]


def found_by(container: Container) -> list[Piece]:
    """Return why it is taken for a container."""
    return [(one, "plain") for one in container.evidence or ("its engine says so",)]


def uses(container: Container) -> list[Piece]:
    """Return processor, memory, pressure and OOM kills in words."""
    parts: list[Piece] = []
    own = own_cgroups(container)
    cpu = columns.cpu(container)
    if cpu is not None:
        busy = "–" if cpu.busy_cores is None else units.cores(cpu.busy_cores)  # noqa: RUF001 - unknown
        text = f"cpu {busy}"
        if cpu.limit_cores is not None:
            text += f" of {units.cores(cpu.limit_cores)} cores ({whose(cpu.limited_by, own) or 'limit'})"
        else:
            text += " cores, no limit"
        parts.append((text, "plain"))
    memory, used = columns.memory(container), columns.memory_used(container)
    if memory is not None and used is not None:
        text = f"memory {units.size(used)}"
        if memory.limit_bytes is not None:
            owner = whose(memory.limited_by, own) or "limit"
            text += f" of {units.size(memory.limit_bytes)} ({owner})"
        kinds = [
            f"{name} {units.size(value)}"
            for name, value in (("anon", memory.anon_bytes), ("file", memory.file_bytes))
            if value is not None
        ]
        parts.append((text + (f", {', '.join(kinds)}" if kinds else ""), "plain"))
        if memory.oom_kills:
            parts.append((f"{memory.oom_kills} OOM kills", "failed"))
        elif memory.oom_kills == 0:
            parts.append(("0 OOM kills", "plain"))
    parts += _pressure(container)
    return parts or [("nothing: it does not run", "dim")]


def _pressure(container: Container) -> list[Piece]:
    found = (container.resources.pressure if container.resources else None) or {}
    lines = {resource: pressure.some for resource, pressure in found.items()}
    shares = [
        f"{resource} {units.percent(line.avg10)}"
        for resource in ("cpu", "memory", "io")
        if (line := lines.get(resource)) is not None
    ]
    return [(f"PSI {' '.join(shares)}", "plain")] if shares else []


def isolation(container: Container, moment: Moment) -> list[Piece]:
    """Return which namespaces are its own, which the host's, which it shares with whom."""
    host = set(container.shared_with_host)
    others = container.shared_with
    known = [kind for kind in _TYPES if container.namespaces.get(kind) is not None]
    own = [kind for kind in known if kind not in host and not others.get(kind)]
    parts: list[Piece] = []
    if own:
        parts.append((f"own {' '.join(own)}", "plain"))
    for kind, who in others.items():
        if kind in host or not who:
            continue
        names = ", ".join(moment.container_name(one) or one for one in who[:3])
        parts.append((f"{kind} shared with {names}", "plain"))
    shared = [kind for kind in _TYPES if kind in host]
    if shared:
        parts.append((f"the host's {' '.join(shared)}", "plain"))
    return parts or [("not known", "dim")]


def security(container: Container) -> list[Piece]:
    """Return what the kernel holds it to, in a line."""
    held = container.security
    if held is None:
        return [("not known", "dim")]
    parts: list[Piece] = []
    if held.privileged:
        parts.append(("▲ privileged: root on the host in all but name", "pressed"))
    effective = held.capabilities.get("effective")
    if effective is not None:
        parts.append((f"{len(effective)} capabilities", "plain"))
    seccomp = {"filter": "seccomp filter", "strict": "seccomp strict", "disabled": "no seccomp"}
    parts.append((seccomp.get(held.seccomp or "", "seccomp ?"), "plain"))
    if held.no_new_privs is not None:
        text = "no new privileges" if held.no_new_privs else "may gain privileges"
        parts.append((text, "plain"))
    if held.lsm:
        parts.append((held.lsm, "plain"))
    if held.uid_map:
        first = held.uid_map[0]
        identity = first.inside == first.outside == 0
        parts.append(("root is root" if identity else f"uid 0 is {first.outside}", "plain"))
    return parts
