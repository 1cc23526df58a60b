"""Owners of pids, the host's and those inside; and containers by their own names."""

from typing import Final

from inspector.domains.containers.model import Container
from inspector.domains.processes.model import Process
from inspector.owner import question
from inspector.owner.facts import Facts, short
from inspector.owner.model import Answer, Miss, Question
from inspector.select import find

_SHOWN: Final = 120
"""Characters of a command line."""
_MOST_OTHERS: Final = 4


def pid(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for a pid of the host's, or for `7@web`, one within a container."""
    number, container = question.inside(asked.value)
    if container is not None:
        return _inside(number, container, facts)
    process = facts.processes.get(number)
    within = _within(number, facts)
    if process is not None:
        return _host_pid(process, within, facts)
    if not within:
        return Miss("pid", f"no process has pid {number}, on the host or inside a container")
    chain = [f"the host has no process {number}, but it is a pid inside:"]
    chain += [_is_inside(one, number, name, facts) for name, one in within]
    return Answer(
        kind="pid",
        subject=f"pid {number} inside",
        owners=facts.owners(one.container or name for name, one in within),
        chain=tuple(chain),
    )


def container(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for a container's own id, the beginning of it, or its name."""
    found = find(facts.containers, asked.value)
    if not found:
        return Miss("container", f"no container's id or name is or begins with {asked.value!r}")
    chain: list[str] = []
    for one in found:
        exact = asked.value in {one.id, one.name}
        how = "is the name or id of" if exact else "begins the name or id of"
        chain.append(f"{asked.value} {how} {facts.name(one.id)}, which is {one.status}")
        chain.extend(one.evidence)
    return Answer(
        kind="container",
        subject=f"container {asked.value}",
        owners=facts.owners(one.id for one in found),
        chain=tuple(chain),
    )


def of_process(process: Process, facts: Facts) -> tuple[list[str], list[str], str | None]:
    """Return the chain from a process on, the ids of its owners, and what it is without one."""
    if process.container is not None:
        return _member(process, facts), [process.container], None
    for one in facts.containers:
        if one.shim is not None and one.shim.pid in {process.pid, process.ppid}:
            what = "the shim" if one.shim.pid == process.pid else "a process of the shim"
            said = f"it is {what} that looks after {facts.name(one.id)}, and is not inside of it"
            return [said], [one.id], None
    place = _cgroup(process)
    chain = [f"its cgroup is {place}, and no container's"] if place else []
    chain.append("its namespaces and its cgroup make it no container's process")
    return chain, [], f"a process of the host{_service(place)}"


def describe(process: Process) -> str:
    """Return what a process is, in a sentence."""
    command = " ".join(process.command)
    if not process.command and (process.pid == 2 or process.ppid == 2):
        return f"pid {process.pid} is a kernel thread, {process.comm}"
    if len(command) > _SHOWN:
        command = command[:_SHOWN] + "…"
    running = f", running {command}" if command else ""
    return f"pid {process.pid} is {process.comm}{running}, of user {process.uid}"


def _host_pid(process: Process, within: list[tuple[str, Process]], facts: Facts) -> Answer:
    chain, owners, instead = of_process(process, facts)
    others = [one for one in within if one[1].pid != process.pid]
    notes = [
        f"(inside {facts.name(name)}, {process.pid} means {facts.process(one.pid)}: "
        f"say pid:{process.pid}@{short(name)} for that one)"
        for name, one in others[:_MOST_OTHERS]
    ]
    if len(others) > _MOST_OTHERS:
        notes.append(f"(and inside {len(others) - _MOST_OTHERS} more containers)")
    if not process.command and (process.pid == 2 or process.ppid == 2):
        instead = f"a kernel thread ({process.comm})"
    return Answer(
        kind="pid",
        subject=f"pid {process.pid}",
        owners=facts.owners(owners),
        chain=(describe(process), *chain, *notes),
        instead=instead,
    )


def _member(process: Process, facts: Facts) -> list[str]:
    """Return why a process belongs to its container."""
    owner = facts.by_id.get(process.container or "")
    if owner is not None and process.pid == owner.pid:
        # Why it is taken for a container is why this process is.
        first = f"it is the first process of {facts.name(owner.id)}"
        return [first, *owner.evidence, *_around(owner, facts)]
    chain: list[str] = []
    if len(process.namespace_pids) > 1:
        chain.append(
            f"it is pid {process.namespace_pids[-1]} in pid namespace {process.namespaces.get('pid')}"
        )
    if owner is None:
        return chain
    same = [
        kind
        for kind, inode in process.namespaces.items()
        if inode is not None and inode == owner.namespaces.get(kind) and not facts.is_hosts(inode)
    ]
    if same:
        chain.append(f"it is in the container's own namespaces: {', '.join(same)}")
    place = _cgroup(process)
    if place and place in owner.cgroups.values() and place != "/":
        chain.append(f"it is in the container's cgroup {place}")
    elif place and place != "/":
        chain.append(f"its cgroup is {place}")
    chain.append(f"its container's first process is {facts.process(owner.pid or 0)}")
    chain.append(f"so it belongs to {facts.name(owner.id)}")
    return chain + _around(owner, facts)


def _around(owner: Container, facts: Facts) -> list[str]:
    return [] if owner.parent is None else [f"which runs within {facts.name(owner.parent)}"]


def _inside(number: int, reference: str, facts: Facts) -> Answer | Miss:
    found = find(facts.containers, reference)
    if not found:
        return Miss("pid", f"there is no container {reference!r}")
    chain: list[str] = []
    owners: list[str] = []
    for one in found:
        process = _by_inner_pid(one, number, facts)
        if process is None:
            continue
        owners.append(process.container or one.id)
        chain += [_is_inside(process, number, one.id, facts), describe(process)]
        chain += of_process(process, facts)[0]
    if not owners:
        return Miss("pid", f"{facts.name(found[0].id)} has no process {number} inside")
    return Answer(
        kind="pid",
        subject=f"pid {number} inside {reference}",
        owners=facts.owners(owners),
        chain=tuple(chain),
    )


def _is_inside(process: Process, number: int, name: str, facts: Facts) -> str:
    return f"{number} inside {facts.name(name)} is the host's {facts.process(process.pid)}"


def _within(number: int, facts: Facts) -> list[tuple[str, Process]]:
    """Return the containers with a pid namespace of their own in which a process has this pid."""
    found: list[tuple[str, Process]] = []
    for one in facts.containers:
        if "pid" in one.shared_with_host or one.namespaces.get("pid") is None:
            continue
        process = _by_inner_pid(one, number, facts)
        if process is not None:
            found.append((one.id, process))
    return found


def _by_inner_pid(one: Container, number: int, facts: Facts) -> Process | None:
    """Return the process that has this pid where the container's first process counts."""
    init = facts.processes.get(one.pid or 0)
    if init is None:
        return None
    depth = len(init.namespace_pids) - 1
    for process in facts.by_any_pid.get(number, ()):
        # Those of containers within it count here too.
        mine = process.container == one.id or _is_within(process.container, one.id, facts)
        if mine and number in process.namespace_pids[depth : depth + 1]:
            return process
    return None


def _is_within(name: str | None, outer: str, facts: Facts) -> bool:
    seen: set[str] = set()
    current = facts.by_id.get(name or "")
    while current is not None and current.id not in seen:
        seen.add(current.id)
        if current.parent == outer:
            return True
        current = facts.by_id.get(current.parent or "")
    return False


def _cgroup(process: Process) -> str | None:
    """Return the cgroup that tells the most: version 2's, or the deepest of version 1's."""
    unified = process.cgroups.get("", "/")
    if unified not in {"", "/"}:
        return unified
    deepest = max(process.cgroups.values(), key=lambda path: path.count("/"), default=None)
    named = [path for path in process.cgroups.values() if path not in {"", "/"}]
    return max(named, key=lambda path: path.count("/")) if named else deepest


def _service(path: str | None) -> str:
    """Return the unit of systemd's that a cgroup is named for, in brackets."""
    for part in reversed((path or "").split("/")):
        if part.endswith((".service", ".scope", ".socket")):
            return f" ({part})"
    return ""
