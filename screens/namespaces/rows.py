"""Namespaces as rows: the tree by owner, the matrix of who shares which, one in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from inspector import units
from inspector.columns import Column
from inspector.domains.containers import columns as container_columns
from inspector.domains.containers.model import Container
from inspector.domains.namespaces import columns
from inspector.domains.namespaces.model import Namespace
from inspector.domains.network.model import Interface
from screens.container.page import id_map
from screens.moment import Moment
from screens.widgets import cells
from screens.widgets.cells import Line, Piece, Tone
from screens.widgets.table_columns import Shown
from screens.widgets.trees import Branch, flatten

TYPES: Final = ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time")
_SHORT: Final = {"cgroup": "cgr", "time": "tim", "user": "usr"}
_PIDS: Final = 12
_WORDS: Final = {
    "mnt": "which mounts it sees",
    "uts": "its host name",
    "ipc": "System V and POSIX queues, semaphores, shared memory",
    "pid": "which processes it sees, and their numbers",
    "net": "interfaces, addresses, routes, ports, netfilter",
    "user": "what its user and group ids mean outside, and where its root is root",
    "cgroup": "what it takes for the root of the cgroup tree",
    "time": "offsets of its boot time and monotonic clocks",
}


def tree(namespaces: Sequence[Namespace], moment: Moment) -> list[Branch[Namespace]]:
    """Return user namespaces by parent, every other one below its owner: the host's, then each container's together."""
    place = {kind: number for number, kind in enumerate(TYPES)}

    def order(one: Namespace) -> tuple[bool, bool, bool, str, int, int]:
        alone = one.host or not one.containers
        first = "" if alone else min(moment.container_name(each) or each for each in one.containers)
        return (
            one.type == "user",
            not one.host,
            not one.containers and not one.host,
            first.casefold(),
            place.get(one.type, 99),
            one.inode,
        )

    def above(one: Namespace) -> str | None:
        owner = one.owner_user_ns if one.type != "user" else (one.parent or one.owner_user_ns)
        return None if owner is None else str(owner)

    return flatten(sorted(namespaces, key=order), lambda one: str(one.inode), above)


def who(one: Namespace, moment: Moment) -> Line:
    """Return who is in a namespace."""
    names = [moment.container_name(container) or container for container in one.containers]
    pieces: list[Piece] = []
    if one.host:
        pieces.append(("host", "bold"))
        if names:
            pieces.append((f" and {', '.join(names)}", "plain"))
    elif names:
        pieces.append((", ".join(names), "plain"))
    elif one.processes and not one.services:
        pieces.append((_commands(one, moment), "dim"))
    if one.services:
        more = f" and {len(one.services) - 3} more" if len(one.services) > 3 else ""
        said = f"{'  ' if pieces else ''}of {', '.join(one.services[:3])}{more}"
        pieces.append((said, "plain" if len(pieces) == 0 else "dim"))
    if one.pinned_by:
        pieces.append(
            (f"{'  ' if pieces else 'nobody: '}held by {', '.join(one.pinned_by)}", "dim")
        )
    return tuple(pieces) or cells.dim("nobody")


def _commands(one: Namespace, moment: Moment) -> str:
    names: list[str] = []
    for pid in one.pids[:20]:
        process = moment.process_by_pid.get(pid)
        if process is not None and process.comm not in names:
            names.append(process.comm)
    return ", ".join(names[:4]) or "processes without a container"


def tree_columns(moment: Callable[[], Moment | None]) -> tuple[Shown[Branch[Namespace]], ...]:
    """Return the columns of the tree."""

    def name(branch: Branch[Namespace], _width: int) -> Line:
        one = branch.item
        tone: Tone = "bold" if one.type == "user" else "plain"
        return (
            (branch.prefix, "dim"),
            (f"{one.type} ", tone),
            (str(one.inode), "dim"),
        )

    def holders(branch: Branch[Namespace], _width: int) -> Line:
        now = moment()
        return who(branch.item, now) if now else cells.BLANK

    def note(branch: Branch[Namespace], _width: int) -> Line:
        now = moment()
        return ((_note(branch.item, now), "dim"),) if now else cells.BLANK

    def processes(branch: Branch[Namespace], _width: int) -> Line:
        return ((str(branch.item.processes), "plain" if branch.item.processes else "dim"),)

    return (
        Shown(
            column=_lifted(columns.INODE),
            paint=name,
            priority=0,
            width=21,
            title="NAMESPACE",
            grow=1,
            most=30,
            sortable=False,
        ),
        Shown(column=_lifted(columns.PROCESSES), paint=processes, priority=1, sortable=False),
        Shown(
            column=_lifted(columns.CONTAINERS),
            paint=holders,
            priority=0,
            width=16,
            title="WHO IS IN IT",
            grow=3,
            sortable=False,
        ),
        Shown(
            column=_lifted(columns.OWNER),
            paint=note,
            priority=2,
            width=20,
            title="",
            grow=3,
            sortable=False,
        ),
    )


def _lifted(column: Column[Namespace]) -> Column[Branch[Namespace]]:
    return Column(
        column.id,
        column.title,
        lambda branch: column.value(branch.item),
        lambda branch: column.text(branch.item),
        width=column.width,
        align="left" if column is not columns.PROCESSES else "right",
        help=column.help,
    )


def named_columns(moment: Moment) -> tuple[Column[Namespace], ...]:
    """Return what a filter reads: containers by name, and who holds it in words."""

    def names(one: Namespace) -> str:
        return ", ".join(moment.container_name(each) or each for each in one.containers)

    named = Column[Namespace](columns.CONTAINERS.id, columns.CONTAINERS.title, names)
    return tuple(named if one is columns.CONTAINERS else one for one in columns.COLUMNS)


def _note(one: Namespace, moment: Moment) -> str:
    if one.type == "user" and one.uid_map is not None:
        return f"uid {id_map(one.uid_map)}"
    if one.type == "net" and not one.host:
        return ", ".join(_link(link) for link in _links(one, moment))
    return ""


def _links(one: Namespace, moment: Moment) -> list[Interface]:
    return [
        link for link in moment.interfaces if link.namespace == one.inode and link.interface != "lo"
    ]


def _link(link: Interface) -> str:
    return f"{link.interface} ⇄ {link.peer.interface or '?'}" if link.peer else link.interface


@dataclass(frozen=True, slots=True)
class Sharing:
    """A container, and what it shares: a cell for each type."""

    container: Container
    marks: Mapping[str, str]


def matrix(moment: Moment) -> list[Sharing]:
    """Return a row for each container: `·` the host's, `●` its own, `A●` shared with the others marked A."""
    letters: dict[int, str] = {}
    running = [one for one in moment.containers if one.pid is not None]
    for kind in TYPES:
        for one in running:
            inode = one.namespaces.get(kind)
            shared = one.shared_with.get(kind) and kind not in one.shared_with_host
            if inode is not None and shared and inode not in letters:
                letters[inode] = _letter(len(letters))
    found: list[Sharing] = []
    for one in sorted(running, key=lambda container: container.name.casefold()):
        marks: dict[str, str] = {}
        for kind in TYPES:
            inode = one.namespaces.get(kind)
            if inode is None:
                marks[kind] = "?"
            elif kind in one.shared_with_host:
                marks[kind] = "·"
            else:
                marks[kind] = f"{letters.get(inode, '')}●"
        found.append(Sharing(one, marks))
    return found


def _letter(number: int) -> str:
    return (
        chr(ord("A") + number)
        if number < 26
        else f"{_letter(number // 26 - 1)}{_letter(number % 26)}"
    )


def matrix_columns() -> tuple[Shown[Sharing], ...]:
    """Return the columns of the matrix."""

    def cell(kind: str) -> Callable[[Sharing, int], Line]:
        def paint(row: Sharing, _width: int) -> Line:
            mark = row.marks[kind]
            return ((mark, "dim" if mark in "·?" else "accent"),)

        return paint

    name = container_columns.NAME
    shown: list[Shown[Sharing]] = [
        Shown(
            column=Column[Sharing](
                "name", "SHARING", lambda row: row.container.name, width=name.width
            ),
            priority=0,
            width=12,
            grow=1,
            sortable=False,
        )
    ]
    shown += [
        Shown(
            column=Column[Sharing](
                kind, _SHORT.get(kind, kind), lambda _: None, width=3, align="right"
            ),
            paint=cell(kind),
            priority=0,
            sortable=False,
        )
        for kind in TYPES
    ]
    return tuple(shown)


def lines(one: Namespace, moment: Moment) -> list[Line]:
    """Return a namespace in words: what it is for, whose it is, who is in it, by which numbers."""
    found: list[Line] = [
        (
            (f" {one.type} {one.inode}  ", "bold"),
            (_WORDS.get(one.type, ""), "plain"),
            ("  the host's" if one.host else "", "dim"),
        )
    ]
    facts: list[str] = []
    if one.owner_user_ns is not None:
        facts.append(f"owned by user namespace {one.owner_user_ns}")
    if one.owner_uid is not None:
        facts.append(f"made by uid {one.owner_uid}")
    if one.parent is not None:
        facts.append(f"parent {one.parent}")
    if facts:
        found.append(_pair("owner", " · ".join(facts)))
    found.append((("   who         ", "dim"), *who(one, moment)))
    if one.services:
        found.append(_pair("services", f"{', '.join(one.services)}: systemd gave it, no container"))
    if one.uid_map is not None:
        found.append(_pair("uid map", id_map(one.uid_map)))
        found.append(_pair("gid map", id_map(one.gid_map or ())))
    if one.type == "net":
        for link in _links(one, moment)[:3]:
            traffic = f"rx {units.size(link.rx_bytes)} tx {units.size(link.tx_bytes)}"
            found.append(_pair("link", f"{_link(link)}  {' '.join(link.addresses)}  {traffic}"))
    if one.pids:
        found.append(_pair("processes", _numbers(one, moment)))
    return found


def _numbers(one: Namespace, moment: Moment) -> str:
    words: list[str] = []
    for pid in one.pids[:_PIDS]:
        process = moment.process_by_pid.get(pid)
        inside = process.namespace_pids[-1] if process and len(process.namespace_pids) > 1 else None
        words.append(str(pid) if inside is None else f"{pid} ({inside} inside)")
    more = one.processes - len(words)
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")


def _pair(label: str, value: str) -> Line:
    return ((f"   {label:<12}", "dim"), (value, "plain"))
