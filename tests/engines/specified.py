"""An OCI runtime spec, as engines print or keep it, beside what a dump says of the container."""

import os
from collections.abc import Mapping
from typing import Any, Final

from tests.engines.side_by_side import Dump, Table, Words

_SHORT: Final[Mapping[str, str]] = {"mount": "mnt", "network": "net"}
"""The spec's names of namespaces that are not the kernel's."""
_CORES: Final = os.cpu_count() or 1


def compare(table: Table, spec: Words, one: Any, frame: Dump) -> None:
    """Add rows for what a spec (config.json, 1.x) asks for, and what a running one has of it."""
    process, linux = spec["process"], spec["linux"]
    _process(table, process, one, frame)
    shared = set(one["namespaces"])
    for each in linux.get("namespaces") or ():
        kind = _SHORT.get(each["type"], each["type"])
        joined = os.stat(each["path"]).st_ino if each.get("path") else None
        if joined is not None:
            table.same(f"namespace: {kind}", joined, one["namespaces"][kind])
        if joined != os.stat(f"/proc/self/ns/{kind}").st_ino:
            shared.discard(kind)
    table.same("shared with the host", shared, set(one["shared_with_host"]))
    got = one["security"]
    for key, ours in (("maskedPaths", "masked_paths"), ("readonlyPaths", "readonly_paths")):
        there = [path for path in linux.get(key) or () if os.path.exists(path)]
        table.same(ours, sorted(there), sorted(got[ours]))
    table.same("seccomp", "filter" if linux.get("seccomp") else "disabled", got["seccomp"])
    _limits(table, linux.get("resources") or {}, one["resources"])
    here = {
        mount["mountpoint"]: mount["fstype"]
        for mount in frame["mounts"]
        if mount["namespace"] == one["namespaces"]["mnt"]
    }
    for mount in spec["mounts"]:
        if mount["type"] not in {"bind", "cgroup", "none"}:
            told = here.get(mount["destination"])
            table.same(f"mount {mount['destination']}", mount["type"], told)
    where = linux.get("cgroupsPath")
    if where and where.startswith("/"):
        table.same("cgroup", True, where in one["cgroups"].values())


def _process(table: Table, process: Words, one: Any, frame: Dump) -> None:
    table.same("command", process["args"], one["command"])
    uids = {each["uid"] for each in frame["processes"] if each["pid"] == one["pid"]}
    table.same("user", {process["user"]["uid"]}, uids)
    got = one["security"]
    asked = {name: set(each) for name, each in (process.get("capabilities") or {}).items()}
    # One that cannot be inherited cannot be ambient, whoever asks for it (capabilities(7)).
    asked["ambient"] = asked.get("ambient", set()) & asked.get("inheritable", set())
    for name in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        theirs, ours = asked.get(name, set()), got["capabilities"][name]
        table.same(f"capabilities: {name}", sorted(theirs), sorted(ours))
    table.same("no new privileges", process.get("noNewPrivileges", False), got["no_new_privs"])


def _limits(table: Table, asked: Words, got: Any) -> None:
    cpu, memory, pids = (asked.get(name) or {} for name in ("cpu", "memory", "pids"))
    if cpu.get("quota"):
        cores = cpu["quota"] / cpu["period"]
        table.same("cpu limit", cores if cores < _CORES else None, got["cpu"]["limit_cores"])
    if cpu.get("shares") and got["cpu"]["shares"] is not None:
        table.same("cpu shares", cpu["shares"], got["cpu"]["shares"])
    if cpu.get("cpus"):
        table.same("cpus", cpu["cpus"], got["cpu"]["cpuset"])
    if memory.get("limit"):
        table.same("memory limit", memory["limit"], got["memory"]["limit_bytes"])
    if pids.get("limit"):
        table.same("process limit", pids["limit"], got["pids"]["limit"])
