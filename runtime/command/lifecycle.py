"""`start`, `kill`, `delete`, `pause` and `resume`: what changes a container that is there."""

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from runtime.command import cgroups, log
from runtime.command.arguments import Request
from runtime.command.store import Container, Store, remove_directory
from runtime.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    FormatError,
    InvalidArgument,
    NotFound,
    RuntimeFailure,
)
from runtime.formats.spec import Spec, entries, section
from runtime.init import hooks, launcher, parked
from runtime.init.job import Identity

if TYPE_CHECKING:
    from runtime.cgroups.manager import Manager

_END_SECONDS = 10.0


def start(request: Request) -> int:
    """Run the command of a container that waits."""
    with Store(request).locked(request.id) as container:
        container.need("created", action="start")
        begin(container)
    return 0


def begin(container: Container) -> None:
    """Let the init go on, and return when it has executed the command.

    Where that fails, or a hook before or after it does, nothing stays (runtime.md, "Lifecycle");
    one whose init had ended before is left for `delete`.
    """
    spec = container.spec()
    try:
        parked.start(container.directory)
        if hooks.of(spec, "poststart"):
            launcher.after_start(spec, _who(container), container.record.pid)
    except FailedPrecondition:
        raise
    except RuntimeFailure:
        _take_down(container, force=True)
        raise


def kill(request: Request) -> int:
    """Send a signal."""
    number = parse_signal(request.arguments[1] if len(request.arguments) > 1 else "SIGTERM")
    container = Store(request).find(request.id)
    private = own_pid_namespace(container.spec())
    everybody = request.on("all") or (not private and number == signal.SIGKILL)
    if everybody and container.record.cgroup:
        if not container.alive() and not container.cgroup.pids():
            if request.on("all"):
                return 0
            raise FailedPrecondition(f"container not running: {request.id} has stopped")
        container.cgroup.kill(number)
        return 0
    pidfd = container.pidfd()
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise FailedPrecondition(f"container not running: {request.id} has stopped") from None
    finally:
        os.close(pidfd)
    if number == signal.SIGKILL and container.cgroup.frozen():
        container.cgroup.thaw()  # in v1 what is frozen does not die before
    return 0


def parse_signal(text: str) -> int:
    """Return the signal of a number or a name with or without SIG, or raise `InvalidArgument`."""
    if text.isascii() and text.isdigit() and 0 < int(text) <= signal.SIGRTMAX:
        return int(text)
    name = text.upper().removeprefix("SIG")
    base, plus, offset = name.partition("+" if "+" in name else "-")
    if base in {"RTMIN", "RTMAX"} and (not plus or offset.isdigit()):
        first = signal.SIGRTMIN if base == "RTMIN" else signal.SIGRTMAX
        number = first + int(offset or 0) * (1 if "+" in name else -1)
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    try:
        return signal.Signals[f"SIG{name}"]
    except KeyError:
        raise InvalidArgument(f"unknown signal {text!r}") from None


def own_pid_namespace(spec: Spec) -> bool:
    """Tell whether the kernel kills all of a container when its init ends."""
    return any(
        each.get("type") == "pid" and not each.get("path")
        for each in entries(section(spec, "linux"), "namespaces")
    )


def pause(request: Request) -> int:
    """Freeze it."""
    with Store(request).locked(request.id) as container:
        container.need("running", "created", action="pause")
        container.cgroup.freeze()
    return 0


def resume(request: Request) -> int:
    """Thaw it."""
    with Store(request).locked(request.id) as container:
        container.need("paused", action="resume")
        container.cgroup.thaw()
    return 0


def delete(request: Request) -> int:
    """Remove a container and all that it has on this host."""
    remove(Store(request), request.id, force=request.on("force"))
    return 0


def remove(
    store: Store, container_id: str, *, force: bool, cgroup: "Manager | None" = None
) -> None:
    """Remove it; with `force` a running one is killed, and one that is not there is no error.

    Whoever knows its cgroups gives them.
    """
    with store.remains(container_id) as directory:
        if directory is None:
            if not force:
                raise NotFound(f"container {container_id!r} does not exist")
            return
        try:
            container = store.find(container_id)
        except (NotFound, FormatError):
            if not force:
                raise
            remove_directory(directory)  # it was not written down what there is
            return
        if cgroup is not None:
            container.found(cgroup)
        _take_down(container, force=force)


def _take_down(container: Container, *, force: bool) -> None:
    status = container.status()
    if status in {"running", "paused"} and not force:
        raise FailedPrecondition(
            f"cannot delete container {container.record.id} that is not stopped: {status}"
        )
    _end(container)
    container.cgroup.delete()
    if group := cgroups.service_class(container.record):
        group.remove()
    with contextlib.suppress(NotFound, FormatError):
        run_poststop(container, container.spec())
    container.forget()


def _end(container: Container) -> None:
    """Kill all of it, and wait until the init has gone."""
    try:
        pidfd = container.pidfd()
    except FailedPrecondition:
        return  # the removal of its cgroups ends whatever else is in them
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        try:
            container.cgroup.kill()
            if container.cgroup.exists():
                container.cgroup.thaw()
        except RuntimeFailure as error:
            log.warn(str(error))
        import select  # noqa: PLC0415 - mostly it has ended before

        if not select.select([pidfd], [], [], _END_SECONDS)[0]:
            raise DeadlineExceeded(f"process {container.record.pid} does not end after SIGKILL")
    finally:
        os.close(pidfd)


def run_poststop(container: Container, spec: Spec) -> None:
    """Run the hooks after the end; one that fails is told of and stops nothing (runtime.md)."""
    launcher.after_end(spec, _who(container), warn=log.warn)


def _who(container: Container) -> Identity:
    return Identity(container.record.id, container.record.bundle)
