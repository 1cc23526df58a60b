"""What `docker inspect`, `top` and `stats` print, and Podman's alike, beside what a dump says."""

import http.client
import json
import os
import socket
from typing import Any, Final

from tests.engines.daemons import Engine
from tests.engines.side_by_side import Dump, Table, Words, find

SECTIONS: Final = ("containers", "mounts", "processes", "network")
MIB: Final = 1 << 20
_MODES: Final = {
    "net": "NetworkMode",
    "uts": "UTSMode",
    "pid": "PidMode",
    "ipc": "IpcMode",
    "cgroup": "CgroupnsMode",  # Podman: CgroupMode
}
_STATUS: Final = {
    "exited": "stopped",
    "dead": "stopped",
    "removing": "stopped",
    "restarting": "stopped",
    "configured": "created",
    "initialized": "created",
}


def _measured(engine: Engine, identifier: str) -> Words:
    """Return `/containers/ID/stats`, of which `docker stats` prints a part, rounded."""
    connection = http.client.HTTPConnection("engine")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(engine.address).removeprefix("unix://"))
    with connection.sock:
        connection.request("GET", f"/containers/{identifier}/stats?stream=false&one-shot=true")
        return json.loads(connection.getresponse().read())


def words_of(engine: Engine, identifier: str) -> Words:
    """Return all that the engine says of a container."""
    inspected = engine.json("inspect", identifier)[0]
    runs = inspected["State"]["Pid"] != 0
    return {
        "inspect": inspected,
        "image": engine.json("image", "inspect", inspected["Image"])[0],
        "top": _top(engine, identifier) if runs else [],
        "stats": _measured(engine, identifier) if runs else None,
    }


def _top(engine: Engine, identifier: str) -> list[int]:
    """Return the pids; Podman tells none of a container that is paused."""
    podman = "podman" in engine.command
    lines = engine(
        "top", identifier, *(("hpid",) if podman else ("-eo", "pid")), check=not podman
    ).splitlines()
    return [int(line) for line in lines[1:]]


def compare(engine: str, before: Words, after: Words, frame: Dump) -> Table:
    """Return everything of one container side by side; the dump was taken between both answers."""
    said = before["inspect"]
    one = find(frame, said["Id"])
    table = Table(f"{engine}: {said['Name'].removeprefix('/')}")
    _record(table, engine, before, one)
    if said["State"]["Pid"]:
        inside = set(before["top"]) & set(after["top"])
        table.same("its processes", inside, inside & set(one["pids"]))
        if inside:
            extra = set(one["pids"]) - set(before["top"]) - set(after["top"])
            table.near("other processes", 0, len(extra), within=1)  # a `sleep` between two of them
        _limits(table, before, one)
        if before["stats"]["pids_stats"]:  # without root and without version 2: none of its own
            _usage(table, before, one, after)
        _security(table, before, one, frame)
        _surroundings(table, before, one, frame)
    return table


def _record(table: Table, engine: str, words: Words, one: Any) -> None:
    """Compare what the engine keeps of a container, whether it runs or not."""
    said = words["inspect"]
    state, host = said["State"], said["HostConfig"]
    stopped = state["Status"] not in {"running", "paused", "created"}
    table.same("id", said["Id"], one["id"])
    table.same("name", said["Name"].removeprefix("/"), one["name"])
    table.same("engine", engine, one["engine"])
    table.same("pod", (said.get("Pod") and said["PodName"]) or None, one["pod"])
    table.same("image", said["Config"]["Image"], one["image"])
    digests = [name.rpartition("@")[2] for name in words["image"]["RepoDigests"] or ()]
    # What no registry has has no digest but that of its configuration, its id.
    digest = said.get("ImageDigest") or next(iter(digests), said["Image"])
    table.same("image digest", digest, one["image_digest"])
    table.same("labels", said["Config"]["Labels"] or {}, one["labels"])
    table.same("command", [said["Path"], *said["Args"]], one["command"])
    table.same("status", _STATUS.get(state["Status"], state["Status"]), one["status"])
    table.same("pid", state["Pid"] or None, one["pid"])
    table.time("created", said["Created"], one["created_at"])
    table.time("started", state["StartedAt"], one["started_at"])
    table.time("finished", state["FinishedAt"] if stopped else None, one["finished_at"])
    table.same("exit code", state["ExitCode"] if stopped else None, one["exit_code"])
    table.same("runtime", said.get("OCIRuntime") or host["Runtime"], one["runtime"])
    if state.get("ConmonPid"):
        table.same("monitor", state["ConmonPid"], (one["shim"] or {}).get("pid"))
    graph = said["GraphDriver"]["Data"]
    if not graph:
        return  # vfs: a copy, and no layers
    layers = one["rootfs"]["layers"]
    by_role = {
        role: [la["path"] for la in layers if la["role"] == role] for role in ("upper", "lower")
    }
    table.same("upper directory", [graph["UpperDir"]], by_role["upper"])
    lower = [_inode(path) for path in graph["LowerDir"].split(":")]
    table.same("lower directories", lower, [_inode(path) for path in by_role["lower"]])
    digests = [la["digest"] for la in layers if la["role"] == "lower" and la["digest"]]
    table.same("digests", list(reversed(words["image"]["RootFS"]["Layers"])), digests)


def _inode(path: str) -> tuple[int, int]:
    """Return what tells a directory, whatever it is called."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _limits(table: Table, words: Words, one: Any) -> None:
    """Compare what was asked for with what the kernel holds it to."""
    host, got = words["inspect"]["HostConfig"], one["resources"]
    if host["Memory"]:
        table.same("memory limit", host["Memory"], got["memory"]["limit_bytes"])
    if host["NanoCpus"]:
        table.same("cpu limit", host["NanoCpus"] / 1e9, got["cpu"]["limit_cores"])
    if host["CpuShares"]:
        table.same("cpu shares", host["CpuShares"], got["cpu"]["shares"])
    if host["CpusetCpus"]:
        table.same("cpus", host["CpusetCpus"], got["cpu"]["cpuset"])
    if host["PidsLimit"]:
        table.same("process limit", host["PidsLimit"], got["pids"]["limit"])


def _security(table: Table, words: Words, one: Any, frame: Dump) -> None:
    """Compare capabilities, seccomp, and what is masked."""
    said, got = words["inspect"], one["security"]
    host = said["HostConfig"]
    table.same("privileged", host["Privileged"], got["privileged"])
    if said.get("BoundingCaps") is not None:
        table.same("capabilities", said["BoundingCaps"], sorted(got["capabilities"]["bounding"]))
    elif host["CapDrop"] == ["ALL"]:
        added = sorted(f"CAP_{name.removeprefix('CAP_')}" for name in host["CapAdd"])
        table.same("capabilities", added, sorted(got["capabilities"]["bounding"]))
    asked = host["SecurityOpt"] or []
    table.same("no new privileges", "no-new-privileges" in asked, got["no_new_privs"])
    loose = "seccomp=unconfined" in asked
    table.same("seccomp", "disabled" if loose else "filter", got["seccomp"])
    for key, ours in (("MaskedPaths", "masked_paths"), ("ReadonlyPaths", "readonly_paths")):
        if key not in host:
            continue  # Podman does not say
        there = [path for path in host[key] or () if os.path.exists(path)]
        table.same(ours, sorted(there), sorted(got[ours]))
    user = said["Config"]["User"].partition(":")[0] or "0"
    uids = {process["uid"] for process in frame["processes"] if process["pid"] == one["pid"]}
    table.same("user", {_outside(said["State"]["Pid"], int(user))}, uids)


def _outside(pid: int, uid: int) -> int:
    """Return what the kernel takes a user of a container's for (user_namespaces(7))."""
    with open(f"/proc/{pid}/uid_map", encoding="ascii") as lines:
        for line in lines:
            inside, outside, count = map(int, line.split())
            if inside <= uid < inside + count:
                return outside + uid - inside
    raise AssertionError(f"{pid}: uid {uid} is not mapped")


def _usage(table: Table, before: Words, one: Any, after: Words) -> None:
    """Compare the numbers: what grows lies between two answers of the engine, the rest nearby."""
    first, last, got = before["stats"], after["stats"], one["resources"]
    cpu = [said["cpu_stats"]["cpu_usage"]["total_usage"] // 1000 for said in (first, last)]
    table.between("cpu microseconds", cpu[0], got["cpu"]["usage_usec"], cpu[1], within=1)
    memory = first["memory_stats"]["usage"]
    table.near("memory", memory, got["memory"]["current_bytes"], within=MIB)
    parts = first["memory_stats"].get("stats")
    if parts is not None:
        inactive = parts.get("total_inactive_file", parts.get("inactive_file", 0))
        table.near("working set", memory - inactive, got["memory"]["working_set_bytes"], within=MIB)
    # A shell that starts a `sleep` each second has one process or two.
    table.near("processes", first["pids_stats"]["current"], got["pids"]["current"], within=1)
    if first.get("networks") and "net" not in one["shared_with_host"]:
        for key in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"):
            span = [sum(net[key] for net in said["networks"].values()) for said in (first, last)]
            table.between(key, span[0], got["network"][key], span[1])


def _surroundings(table: Table, words: Words, one: Any, frame: Dump) -> None:
    """Compare namespaces, networks, published ports and volumes."""
    said, host = words["inspect"], words["inspect"]["HostConfig"]
    settings = said["NetworkSettings"]
    host = {"CgroupnsMode": host.get("CgroupMode"), **host}
    shared = {kind for kind, key in _MODES.items() if host[key] == "host"}
    # Neither engine makes these unless it is asked to, or without root; a kernel may lack the last.
    rootless = "/run/user/" in said.get("HostsPath", "")
    shared |= ({"time"} if rootless else {"user", "time"}) & set(one["namespaces"])
    table.same("shared with the host", shared, set(one["shared_with_host"]))
    if settings["SandboxKey"]:
        inode = os.stat(settings["SandboxKey"]).st_ino
        table.same("network namespace", inode, one["namespaces"]["net"])
    for network in (settings.get("Networks") or {}).values():
        if network["IPAddress"]:
            theirs = (network["MacAddress"], f"{network['IPAddress']}/{network['IPPrefixLen']}")
            ours = [
                (link["mac"], *(each for each in link["addresses"] if ":" not in each))
                for link in frame["network"]
                if link["container"] == one["id"] and link["interface"] != "lo"
            ]
            table.same("address", [theirs], ours)
    theirs = [
        (binding["HostIp"], int(binding["HostPort"]), *port.split("/"))
        for port, bindings in (settings["Ports"] or {}).items()
        for binding in bindings or ()
    ]
    ours = [
        (each["address"], each["port"], str(each["to_port"]), each["protocol"])
        for space in frame["network_namespaces"]
        for each in space["published"]
        if each["container"] == one["id"]
    ]
    table.same("published ports", sorted(theirs), sorted(ours))
    here = {
        mount["mountpoint"]: "rw" in mount["options"]
        for mount in frame["mounts"]
        if mount["namespace"] == one["namespaces"]["mnt"]
    }
    for mount in said["Mounts"]:
        table.same(f"volume {mount['Destination']}", mount["RW"], here.get(mount["Destination"]))
    for path in said["HostConfig"].get("Tmpfs") or ():
        table.same(f"tmpfs {path}", True, here.get(path))
    table.same("writable root", not said["HostConfig"]["ReadonlyRootfs"], here.get("/"))
