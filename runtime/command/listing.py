"""`state`, `list` and `ps`: what there is."""

import json
import os
import sys
from typing import Any

from runtime.command.arguments import Request
from runtime.command.store import Container, Store
from runtime.command.table import SPEC_VERSION
from runtime.errors import Internal, InvalidArgument


def state(request: Request) -> int:
    """Print the state of one as JSON (runtime.md, "State")."""
    container = Store(request).find(request.id)
    sys.stdout.write(json.dumps(describe(container), indent=2) + "\n")
    return 0


def describe(container: Container) -> dict[str, Any]:
    """Return the state as JSON has it; the pid of one that has stopped is 0."""
    record = container.record
    status = container.status()
    found: dict[str, Any] = {
        "ociVersion": record.version or SPEC_VERSION,
        "id": record.id,
        "pid": 0 if status in {"stopped", "creating"} else record.pid,
        "status": status,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
    }
    if record.annotations:
        found["annotations"] = record.annotations
    return found | {"owner": ""}


def containers(request: Request) -> int:
    """Print all."""
    form = _form(request)
    found = Store(request).all()
    if request.on("quiet"):
        sys.stdout.write("".join(f"{each.record.id}\n" for each in found))
        return 0
    rows = [describe(each) | {"owner": _owner(each.directory)} for each in found]
    if form == "json":
        sys.stdout.write(json.dumps(rows) + "\n")
        return 0
    keys = ("id", "pid", "status", "bundle", "created", "owner")
    table = [[key.upper() for key in keys], *([str(row[key]) for key in keys] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("   ".join(cells).rstrip() + "\n")
    return 0


def processes(request: Request) -> int:
    """Print the host's pids of a container's processes, or what ps(1) says of them."""
    form = _form(request)
    pids = Store(request).find(request.id).cgroup.pids()
    if form == "json":
        sys.stdout.write(json.dumps(pids) + "\n")
        return 0
    import subprocess  # noqa: PLC0415 - 10 ms that the form for engines does without

    options = list(request.arguments[1:]) or ["-ef"]
    try:
        done = subprocess.run(("ps", *options), check=False, capture_output=True)
    except FileNotFoundError:
        raise Internal("ps: is not installed; --format json needs nothing") from None
    if done.returncode:
        raise Internal(f"ps: {done.stderr.decode(errors='replace').strip()}")
    lines = done.stdout.decode(errors="backslashreplace").splitlines()
    title = lines[0].split()
    if "PID" not in title:
        raise InvalidArgument("ps: its output has no column PID")
    place = title.index("PID")
    wanted = {str(pid) for pid in pids}
    kept = [
        line
        for line in lines[1:]
        if line.split()[place : place + 1] and line.split()[place] in wanted
    ]
    sys.stdout.write("\n".join([lines[0], *kept]) + "\n")
    return 0


def _form(request: Request) -> str:
    form = request.text("format") or "table"
    if form not in {"table", "json"}:
        raise InvalidArgument(f"invalid format option: {form!r}: table or json")
    return form


def _owner(directory: str) -> str:
    try:
        uid = os.stat(directory).st_uid
    except FileNotFoundError:
        return ""
    import pwd  # noqa: PLC0415 - only here

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
