"""What is done to containers that are there: exec, wait, signals, the freezer, limits."""

import asyncio
import contextlib
import json
import os
import signal as signals
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from runtime.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    RuntimeFailure,
    Unavailable,
)
from runtime.metadata.store import ContainerRecord
from runtime.oci import build, host
from runtime.proto import task
from runtime.proto.wellknown import Any as AnyMessage
from runtime.shim import bundle
from runtime.tasks import status
from runtime.tasks.client import TaskClient
from runtime.tasks.engine import Engine
from runtime.types import ExecOptions, Exit, Resources, Stdio

_TYPES: Final = "types.containerd.io/opencontainers/runtime-spec/1/"
_POLL_SECONDS: Final = 0.05


def running(engine: Engine, reference: str) -> ContainerRecord:
    """Return the record of a container that is running, or raise `FailedPrecondition`."""
    record = engine.resolve(reference)
    found = engine.view(record).status
    if found != "running":
        raise FailedPrecondition(f"container {record.name} is {found}, not running")
    return record


async def exec_process(engine: Engine, reference: str, options: ExecOptions, stdio: Stdio) -> str:
    """Start one more process; return its exec id."""
    if not options.command:
        raise InvalidArgument("there is no command to execute")
    record = running(engine, reference)
    exec_id = os.urandom(16).hex()
    process = _process(bundle.read_json(engine.paths.spec(record.id)), options)
    request = task.ExecProcessRequest(
        id=record.id,
        exec_id=exec_id,
        terminal=options.tty,
        stdin=stdio.stdin or "",
        stdout=stdio.stdout or "",
        stderr=stdio.stderr or "",
        spec=AnyMessage(type_url=_TYPES + "Process", value=json.dumps(process).encode()),
    )
    async with await engine.connect(record.id) as client:
        await client.exec(request)
        await _start_exec(client, exec_id)
    return exec_id


async def _start_exec(client: TaskClient, exec_id: str) -> None:
    started = False
    try:
        await client.start(exec_id)
        started = True
    finally:
        if not started:
            with contextlib.suppress(RuntimeFailure):
                await client.delete(exec_id)


def _process(spec: Mapping[str, Any], options: ExecOptions) -> dict[str, Any]:
    """Return the OCI process of an exec: the container's own, with what the options say."""
    base: dict[str, Any] = dict(spec.get("process") or {})
    base["args"] = list(options.command)
    base["terminal"] = options.tty
    base["env"] = _environment([*(base.get("env") or []), *options.env])
    if options.workdir is not None:
        base["cwd"] = options.workdir
    if options.user is not None:
        base["user"] = {"username": options.user}
    base.pop("consoleSize", None)
    if options.console_size is not None:
        base["consoleSize"] = {"width": options.console_size[0], "height": options.console_size[1]}
    return base


def _environment(pairs: list[str]) -> list[str]:
    """Return KEY=VALUE pairs of which the last one of each key counts."""
    return [f"{key}={value}" for key, _, value in _last(pairs)]


def _last(pairs: list[str]) -> list[tuple[str, str, str]]:
    return list({pair.partition("=")[0]: pair.partition("=") for pair in pairs}.values())


async def wait(engine: Engine, reference: str, exec_id: str) -> Exit:
    """Return how a process ended, when it has; lets the shim of an ended container go."""
    record = engine.resolve(reference)
    if exec_id:
        return await _exec_exit(engine, record, exec_id)
    try:
        async with await engine.connect(record.id) as client:
            return await client.wait()
    except Unavailable:
        return await _without_shim(engine, record)
    finally:
        await engine.release(record.id)


async def _exec_exit(engine: Engine, record: ContainerRecord, exec_id: str) -> Exit:
    try:
        async with await engine.connect(record.id) as client:
            return await client.wait(exec_id)
    except Unavailable as error:
        raise NotFound(
            f"exec {exec_id!r} went with container {record.name}, which has stopped"
        ) from error


async def _without_shim(engine: Engine, record: ContainerRecord) -> Exit:
    """Wait by looking, when there is no shim to ask (any more)."""
    while True:
        seen = engine.view(record)
        state = seen.state
        if seen.status == "stopped":
            if state is None or state.exit_code is None or state.finished_at is None:
                raise Unavailable(
                    f"how container {record.name} ended is not known: {seen.error or 'it never ran'}"
                )
            at = datetime.fromtimestamp(state.finished_at / 1e9, UTC)
            return Exit(state.exit_code, at)
        await asyncio.sleep(_POLL_SECONDS)


async def kill(engine: Engine, reference: str, number: int, exec_id: str) -> None:
    """Send a signal; where the shim is gone, by the pid that it left."""
    record = engine.resolve(reference)
    seen = engine.view(record)
    if seen.status == "stopped":
        raise FailedPrecondition(f"container {record.name} is not running")
    if seen.shim is None and seen.state is not None and not exec_id:
        _kill_pid(seen.state.pid, seen.state, number)
        return
    try:
        async with await engine.connect(record.id) as client:
            await client.kill(number, exec_id)
    except Unavailable as error:
        raise FailedPrecondition(f"container {record.name} has just stopped") from error


def _kill_pid(pid: int, state: bundle.State, number: int) -> None:
    descriptor = -1
    try:
        descriptor = os.pidfd_open(pid)
        if state.alive():  # the descriptor was opened before: it is that process's
            signals.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        raise NotFound(f"process {pid} has ended") from None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


async def stop(engine: Engine, reference: str, timeout_seconds: float) -> Exit | None:
    """Ask it to end, then make it; a stopped one's exit is told again.

    None where it has ended and nobody saw how: its shim was killed before.
    """
    record = engine.resolve(reference)
    found = engine.view(record).status
    if found == "created":
        await _signal(engine, record, signals.SIGKILL)
    elif found != "stopped":
        await _signal(engine, record, signals.SIGTERM)
        if found == "paused":
            await thaw(engine, record.id)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await _ended(engine, record)
        except TimeoutError:
            await _signal(engine, record, signals.SIGKILL)
    return await _ended(engine, record)


async def _ended(engine: Engine, record: ContainerRecord) -> Exit | None:
    try:
        return await wait(engine, record.id, "")
    except Unavailable:
        if engine.view(record).status != "stopped":
            raise
        return None


async def _signal(engine: Engine, record: ContainerRecord, number: int) -> None:
    with contextlib.suppress(NotFound, FailedPrecondition):  # it has just ended
        await kill(engine, record.id, number, "")


async def freeze(engine: Engine, reference: str) -> None:
    """Stop every process of a running container."""
    record = running(engine, reference)
    async with await engine.connect(record.id) as client:
        await client.pause()


async def thaw(engine: Engine, reference: str) -> None:
    """Let a frozen container go on; one that others than its shim have frozen too."""
    record = engine.resolve(reference)
    seen = engine.view(record)
    if seen.status != "paused":
        raise FailedPrecondition(f"container {record.name} is {seen.status}, not paused")
    if seen.shim is not None and seen.state is not None and seen.state.status == "paused":
        async with await engine.connect(record.id) as client:
            await client.resume()
    else:
        await asyncio.to_thread(status.cgroups(record, seen.state).thaw)


async def update(engine: Engine, reference: str, resources: Resources) -> None:
    """Change limits now and for later starts."""
    record = engine.resolve(reference)
    new = build.resources(resources, host=host.read())
    async with engine.lock(record.id):
        if engine.view(record).status != "stopped":
            value = json.dumps(new).encode()
            carried = AnyMessage(type_url=_TYPES + "LinuxResources", value=value)
            async with await engine.connect(record.id) as client:
                await client.update(task.UpdateTaskRequest(id=record.id, resources=carried))
        spec = bundle.read_json(engine.paths.spec(record.id))
        linux = spec.setdefault("linux", {})
        linux["resources"] = _merged(linux.get("resources") or {}, new)
        bundle.write_json(engine.paths.spec(record.id), spec)
    engine.publish("/containers/update", {"id": record.id, "image": record.image or ""})


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return LinuxResources with `new` put over `old`, section by section."""
    return {**old, **{name: {**(old.get(name) or {}), **part} for name, part in new.items()}}


def processes(engine: Engine, reference: str) -> tuple[int, ...]:
    """Return the pids in the container's cgroup; of one that has none, those of its pid namespace."""
    record = engine.resolve(reference)
    seen = engine.view(record)
    if seen.status == "stopped":
        raise FailedPrecondition(f"container {record.name} is not running")
    if seen.state is not None and seen.state.cgroup == "":
        return _in_namespace(seen.state.pid)
    return tuple(status.cgroups(record, seen.state).pids())


def _in_namespace(pid: int) -> tuple[int, ...]:
    """Return the pids of a process's pid namespace (pid_namespaces(7)), as far as they can be seen."""
    own = _pid_namespace(str(pid))
    pids = (name for name in os.listdir("/proc") if name.isdigit())
    return tuple(sorted(int(name) for name in pids if own and _pid_namespace(name) == own))


def _pid_namespace(pid: str) -> int | None:
    """Return a process's pid namespace; None where it is gone or another user's."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return None
