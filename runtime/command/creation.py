"""`create` and `run`: from a bundle to a container."""

import contextlib
import json
import os
import signal
from typing import Any, NamedTuple

from runtime.cgroups.manager import Manager
from runtime.command import cgroups, console, lifecycle, rights
from runtime.command.arguments import Request
from runtime.command.store import Container, Store, now, read_json, write_file
from runtime.errors import InvalidArgument, RuntimeFailure
from runtime.formats.spec import Spec, section
from runtime.init import launcher
from runtime.init.job import Identity, Manner
from runtime.linux import constants, syscalls
from runtime.oci import config, support

_STREAMS = (0, 1, 2)


def create(request: Request) -> int:
    """Make a container that waits for its start."""
    launched, _ = _make(request, detached=True)
    launched.close()
    return 0


def run(request: Request) -> int:
    """Make and start a container; return its exit status unless it is detached."""
    detached = request.on("detach")
    if not detached and not request.on("no-subreaper"):
        syscalls.prctl(constants.PR_SET_CHILD_SUBREAPER, 1)
    launched, made = _make(request, detached=detached)
    store = Store(request)
    try:
        if not detached:
            console.forward_signals(launched.pidfd)
        try:
            with store.locked(request.id) as container:
                lifecycle.begin(container)
        except BaseException:
            with contextlib.suppress(RuntimeFailure):
                lifecycle.remove(store, request.id, force=True)
            raise
        if detached:
            return 0
        if launched.console is not None:
            from runtime.command import terminal  # noqa: PLC0415 - few runs have one

            terminal.proxy(launched.console, launched.pidfd)
        status = console.wait(launched.pidfd)
    finally:
        launched.close()
    if not request.on("keep"):
        lifecycle.remove(store, request.id, force=True, cgroup=made.cgroup)
    return status


def seccomp_cache() -> str:
    """Return where compiled filters are kept."""
    return f"{rights.run_directory() or '/run'}/cinspect/seccomp"


def preserved(request: Request) -> int:
    """Return how many descriptors from 3 on the process gets; raises if one is not open.

    That is looked at before this program opens any of its own.
    """
    count = request.number("preserve-fds") or 0
    listening = os.environ.get("LISTEN_FDS", "")
    count += int(listening) if listening.isdigit() else 0
    if not 0 <= count <= 1 << 16:
        raise InvalidArgument(f"--preserve-fds: {count} is no number of descriptors")
    for descriptor in range(3, 3 + count):
        try:
            os.fstat(descriptor)
        except OSError:
            raise InvalidArgument(f"--preserve-fds: descriptor {descriptor} is not open") from None
    return count


def check_console(terminal: bool, request: Request, *, detached: bool) -> None:  # noqa: FBT001 - its subject
    """Raise `InvalidArgument` unless there is somebody for the terminal, if there is one."""
    socket = request.text("console-socket")
    if terminal and detached and not socket:
        raise InvalidArgument("--console-socket: a detached process with a terminal needs one")
    if socket and not (terminal and detached):
        raise InvalidArgument("--console-socket: only a detached process with a terminal takes one")


def hand_over(launched: launcher.Launched, request: Request) -> None:
    """Send the terminal and the pidfd to whoever waits for them."""
    socket = request.text("console-socket")
    if socket and launched.console is not None:
        console.send(socket, launched.console, b"/dev/ptmx")
    if path := request.text("pidfd-socket"):
        console.send(path, launched.pidfd, b"pidfd")


class _Bundle(NamedTuple):
    path: str
    rootfs: str
    spec: Spec


def _bundle(request: Request) -> _Bundle:
    path = os.path.abspath(request.text("bundle") or ".")
    spec = read_json(f"{path}/config.json")
    config.check(spec)
    if not spec.get("process"):
        raise InvalidArgument("config.json: process: is missing")
    support.refuse(spec)
    return _Bundle(path, os.path.join(path, str(spec["root"]["path"])), spec)


def _make(request: Request, *, detached: bool) -> tuple[launcher.Launched, Container]:
    bundle = _bundle(request)
    check_console(bool(bundle.spec["process"].get("terminal")), request, detached=detached)
    group = _service_class(bundle.spec, request.id)
    with Store(request).new(request.id) as container:
        cgroup = cgroups.choose(bundle.spec, request.id, request)
        record = container.record
        record.version = str(bundle.spec.get("ociVersion"))
        record.bundle, record.rootfs, record.created = bundle.path, bundle.rootfs, now()
        record.annotations = {str(k): v for k, v in section(bundle.spec, "annotations").items()}
        cgroups.remember(record, cgroup)
        record.resctrl = group
        manner = Manner(
            keyring=not request.on("no-new-keyring"),
            pivot=not request.on("no-pivot"),
            preserve=preserved(request),
            park=container.directory,
        )
        return _launch(container, bundle, request, cgroup=cgroup, manner=manner), container


def _service_class(spec: Spec, container_id: str) -> dict[str, Any]:
    """Return what the record has of the class of service that a spec asks for, if it does."""
    wanted = section(spec, "linux").get("intelRdt")
    if wanted is None:
        return {}
    from runtime.cgroups import resctrl  # noqa: PLC0415 - few need it

    return resctrl.plan(wanted, container_id)._asdict()


def _launch(
    container: Container,
    bundle: _Bundle,
    request: Request,
    *,
    cgroup: Manager,
    manner: Manner,
) -> launcher.Launched:
    """Clone the init; whatever fails leaves no process, no cgroup and no mount."""
    launched: launcher.Launched | None = None
    made: Manager | None = None
    group = None
    parked = launcher.Parked(
        Identity(container.record.id, bundle.path), manner, container.written_down
    )
    try:
        with launcher.ahead(
            bundle.spec,
            rootfs=bundle.rootfs,
            cgroup=cgroup,
            seccomp_cache=seccomp_cache(),
            parked=parked,
        ) as launch:
            path = f"{container.directory}/config.json"
            write_file(path, json.dumps(bundle.spec).encode())
            container.save()
            made = cgroups.make(cgroup, bundle.spec, request)
            cgroups.remember(container.record, made)
            container.found(made)
            group = cgroups.service_class(container.record)
            if group is not None:
                group.create(section(bundle.spec, "linux")["intelRdt"])
                made.entries = group.entries()
            terminal = bundle.spec["process"].get("terminal")
            launched = launch(made, None if terminal else _STREAMS)
        made.settled()
        hand_over(launched, request)
        write_pid(request, launched.pid)
    except BaseException:
        if launched is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(launched.pidfd, signal.SIGKILL)
            console.wait(launched.pidfd)
            launched.close()
        if made is not None:
            made.delete()
            if made.entries and group is not None:
                group.remove()
            lifecycle.run_poststop(container, bundle.spec)
        raise
    return launched


def write_pid(request: Request, pid: int) -> None:
    """Write the pid where it was asked for."""
    if path := request.text("pid-file"):
        write_file(path, str(pid).encode(), mode=0o644)
