"""`exec`: one more process in a container."""

import os
from collections.abc import Sequence
from typing import Any

from runtime.command import console
from runtime.command.arguments import Request
from runtime.command.creation import (
    check_console,
    hand_over,
    preserved,
    seccomp_cache,
    write_pid,
)
from runtime.command.store import Container, Store, read_json
from runtime.errors import InvalidArgument
from runtime.formats.spec import Spec, entries, section
from runtime.init import launcher
from runtime.init.job import Manner
from runtime.linux import caps
from runtime.oci import config, support

_STREAMS = (0, 1, 2)
_KINDS = ("bounding", "effective", "permitted")


def execute(request: Request) -> int:
    """Run it; return its exit status unless it is detached."""
    preserve = preserved(request)
    detached = request.on("detach")
    container = Store(request).find(request.id)
    paused = ("paused",) if request.on("ignore-paused") else ()
    container.need("running", "created", *paused, action="exec")
    spec = container.spec()
    process = _process(request, spec)
    check_console(bool(process.get("terminal")), request, detached=detached)
    if request.every("cgroup"):
        from runtime.cgroups import placing  # noqa: PLC0415 - few ask for it

        container.cgroup.inside = placing.below(container.cgroup, _places(request.every("cgroup")))
    manner = Manner(preserve=preserve, name=container.record.id)
    launched = _launch(container, process, spec, manner=manner)
    try:
        hand_over(launched, request)
        write_pid(request, launched.pid)
        if detached:
            return 0
        console.forward_signals(launched.pidfd)
        if launched.console is not None:
            from runtime.command import terminal  # noqa: PLC0415 - few runs have one

            terminal.proxy(launched.console, launched.pidfd)
        return console.wait(launched.pidfd)
    finally:
        launched.close()


def _launch(
    container: Container, process: Spec, spec: Spec, *, manner: Manner
) -> launcher.Launched:
    pidfd = container.pidfd()
    try:
        return launcher.exec_process(
            process,
            spec,
            init_pid=container.record.pid,
            init_pidfd=pidfd,
            cgroup=container.cgroup,
            stdio=None if process.get("terminal") else _STREAMS,
            seccomp_cache=seccomp_cache(),
            manner=manner,
        )
    finally:
        os.close(pidfd)


def _places(words: Sequence[str]) -> dict[str, str]:
    """Return where in the container's cgroups it goes, by controller; "" is for the others."""
    found: dict[str, str] = {}
    for word in words:
        controllers, _, path = word.rpartition(":")
        for controller in controllers.split(","):
            if found.setdefault(controller, path) != path:
                raise InvalidArgument(f"--cgroup: {controller or 'a path'} is there twice")
    return found


def _process(request: Request, spec: Spec) -> Spec:
    """Return the process that is asked for, as JSON or by flags."""
    if path := request.text("process"):
        process = read_json(path, streams=True)
        config.process(process)
        support.process(process, "")
        # What it leaves out is not the container's own.
        return {"env": [], **process}
    arguments = list(request.arguments[1:])
    if not arguments:
        raise InvalidArgument("exec: needs a command, or --process")
    process = {**section(spec, "process"), "args": arguments}
    _override(process, request)
    config.process(process)
    support.process(process, "process.")
    return process


def _override(process: dict[str, Any], request: Request) -> None:
    process["terminal"] = request.on("tty")
    process.pop("consoleSize", None)
    for flag, key in (
        ("cwd", "cwd"),
        ("apparmor", "apparmorProfile"),
        ("process-label", "selinuxLabel"),
    ):
        if request.text(flag):
            process[key] = request.text(flag)
    process["env"] = [*entries(process, "env"), *request.every("env")]
    if request.text("no-new-privs") is not None:
        process["noNewPrivileges"] = request.on("no-new-privs")
    user = dict(section(process, "user"))
    if request.text("user"):
        user |= _user(request.text("user") or "")
    if request.every("additional-gids"):
        more = [_id(each, "additional-gids") for each in request.every("additional-gids")]
        user["additionalGids"] = [*entries(user, "additionalGids"), *more]
    process["user"] = user
    if request.every("cap"):
        names = [caps.canonical(each) for each in request.every("cap")]
        held = dict(section(process, "capabilities"))
        for kind in _KINDS:
            held[kind] = [*entries(held, kind), *names]
        process["capabilities"] = held


def _user(text: str) -> dict[str, int]:
    uid, colon, gid = text.partition(":")
    found = {"uid": _id(uid, "user")}
    if colon:
        found["gid"] = _id(gid, "user")
    return found


def _id(text: str, flag: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise InvalidArgument(f"--{flag}: {text!r} is not a number")
    return int(text)
