"""The Task service: each method of `containerd.task.v2.Task`, over the containers of this shim."""

from __future__ import annotations

import json

from runtime.errors import AlreadyExists, FormatError, InvalidArgument, NotFound, Unimplemented
from runtime.proto import metrics, task
from runtime.proto.wellknown import Any, Empty, Timestamp
from runtime.shim.bundle import SHIM_VERSION, as_object
from runtime.shim.container import Container
from runtime.shim.process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.proto.codec import Message, Value
    from runtime.shim.bundle import Json
    from runtime.shim.host import Host
    from runtime.shim.server import Reply


class Service:
    """Answers requests by calling `reply`, at once or when what is asked for has happened."""

    def __init__(self, host: Host, *, on_shutdown: Callable[[], None]) -> None:
        self.containers: dict[str, Container] = {}
        self._host = host
        self._on_shutdown = on_shutdown
        self.methods: dict[str, tuple[type[Message], Callable[..., None]]] = {
            "Create": (task.CreateTaskRequest, self._create),
            "Start": (task.ProcessRequest, self._start),
            "Delete": (task.ProcessRequest, self._delete),
            "State": (task.ProcessRequest, self._state),
            "Pids": (task.ProcessRequest, self._pids),
            "Pause": (task.ProcessRequest, self._pause),
            "Resume": (task.ProcessRequest, self._resume),
            "Checkpoint": (task.CheckpointTaskRequest, self._checkpoint),
            "Kill": (task.KillRequest, self._kill),
            "Exec": (task.ExecProcessRequest, self._exec),
            "ResizePty": (task.ResizePtyRequest, self._resize),
            "CloseIO": (task.CloseIORequest, self._close_io),
            "Update": (task.UpdateTaskRequest, self._update),
            "Wait": (task.ProcessRequest, self._wait),
            "Stats": (task.ProcessRequest, self._stats),
            "Connect": (task.ProcessRequest, self._connect),
            "Shutdown": (task.ShutdownRequest, self._shutdown),
        }

    def call(self, method: str, payload: bytes, reply: Reply) -> None:
        """Handle one request; raises a `RuntimeFailure` that says why it cannot be done."""
        if method not in self.methods:
            raise Unimplemented(f"method {method} is not implemented")
        kind, handler = self.methods[method]
        handler(kind.decode(payload), reply)

    def call_own(self, method: str, payload: bytes, reply: Reply) -> None:
        """Handle one request of our own service."""
        if method != "Attach":
            raise Unimplemented(f"method {method} is not implemented")
        request = task.AttachRequest.decode(payload)
        self._container(request.id).process(request.exec_id).attach(
            self._host.loop, stdin=request.stdin, stdout=request.stdout, stderr=request.stderr
        )
        reply(Empty())

    def _container(self, container_id: str) -> Container:
        if container_id not in self.containers:
            raise NotFound(f"container not created: {container_id}")
        return self.containers[container_id]

    def _create(self, request: task.CreateTaskRequest, reply: Reply) -> None:
        if request.id in self.containers:
            raise AlreadyExists(f"container {request.id} was created already")
        if request.checkpoint:
            raise Unimplemented("restoring a checkpoint is not implemented")
        container = Container.create(self._host, request)
        self.containers[request.id] = container
        reply(task.PidResponse(pid=container.init.pid))

    def _start(self, request: task.ProcessRequest, reply: Reply) -> None:
        reply(task.PidResponse(pid=self._container(request.id).start(request.exec_id)))

    def _delete(self, request: task.ProcessRequest, reply: Reply) -> None:
        container = self._container(request.id)

        def done(process: Process) -> None:
            if not request.exec_id:
                self.containers.pop(request.id, None)
            reply(
                task.DeleteResponse(
                    pid=process.pid,
                    exit_status=process.exit_status,
                    exited_at=Timestamp.of(process.exited_at),
                )
            )

        container.delete(request.exec_id, done)

    def _state(self, request: task.ProcessRequest, reply: Reply) -> None:
        container = self._container(request.id)
        process = container.process(request.exec_id)
        status = process.status
        if status == "running" and container.init.status == "paused":
            status = "paused"
        reply(
            task.StateResponse(
                id=request.id,
                bundle=container.bundle,
                pid=process.pid,
                status=task.STATUSES.index(status),
                stdin=process.stdin,
                stdout=process.stdout,
                stderr=process.stderr,
                terminal=process.terminal,
                exit_status=process.exit_status,
                exited_at=Timestamp.of(process.exited_at),
                exec_id=request.exec_id,
            )
        )

    def _pids(self, request: task.ProcessRequest, reply: Reply) -> None:
        container = self._container(request.id)
        execs = {each.pid: name for name, each in container.execs.items() if each.running}
        processes: list[task.ProcessInfo] = []
        for pid in container.cgroup.pids():
            info = None
            if pid in execs:
                details = task.ProcessDetails(exec_id=execs[pid])
                info = Any(type_url="containerd.runc.v1.ProcessDetails", value=details.encode())
            processes.append(task.ProcessInfo(pid=pid, info=info))
        reply(task.PidsResponse(processes=processes))

    def _pause(self, request: task.ProcessRequest, reply: Reply) -> None:
        self._container(request.id).pause()
        reply(Empty())

    def _resume(self, request: task.ProcessRequest, reply: Reply) -> None:
        self._container(request.id).resume()
        reply(Empty())

    def _checkpoint(self, _request: task.CheckpointTaskRequest, _reply: Reply) -> None:
        raise Unimplemented("checkpoints are not implemented")

    def _kill(self, request: task.KillRequest, reply: Reply) -> None:
        self._container(request.id).kill(request.exec_id, request.signal, everybody=request.all)
        reply(Empty())

    def _exec(self, request: task.ExecProcessRequest, reply: Reply) -> None:
        if not request.exec_id:
            raise InvalidArgument("an exec needs an id")
        spec = _json(request.spec, "process")
        spec["terminal"] = request.terminal
        self._container(request.id).add_exec(
            Process(
                exec_id=request.exec_id,
                terminal=request.terminal,
                stdin=request.stdin,
                stdout=request.stdout,
                stderr=request.stderr,
                spec=spec,
            )
        )
        reply(Empty())

    def _resize(self, request: task.ResizePtyRequest, reply: Reply) -> None:
        process = self._container(request.id).process(request.exec_id)
        process.resize(min(request.width, 0xFFFF), min(request.height, 0xFFFF))
        reply(Empty())

    def _close_io(self, request: task.CloseIORequest, reply: Reply) -> None:
        process = self._container(request.id).process(request.exec_id)
        if request.stdin:
            process.close_stdin()
        reply(Empty())

    def _update(self, request: task.UpdateTaskRequest, reply: Reply) -> None:
        self._container(request.id).update(_json(request.resources, "resources"))
        reply(Empty())

    def _wait(self, request: task.ProcessRequest, reply: Reply) -> None:
        process = self._container(request.id).process(request.exec_id)
        process.wait(reply)

    def _stats(self, request: task.ProcessRequest, reply: Reply) -> None:
        container = self._container(request.id)
        if container.init.exited_at:
            raise NotFound(f"container {request.id} has stopped and has no cgroup")
        name, value = metrics.of(container.cgroup.stats(), unified=container.cgroup.unified())
        reply(task.StatsResponse(stats=Any(type_url=name, value=value.encode())))

    def _connect(self, request: task.ProcessRequest, reply: Reply) -> None:
        container = self.containers.get(request.id)
        pid = 0 if container is None else container.init.pid
        reply(task.ConnectResponse(shim_pid=self._host.pid, task_pid=pid, version=SHIM_VERSION))

    def _shutdown(self, _request: task.ShutdownRequest, reply: Reply) -> None:
        reply(Empty())
        if not self.containers:
            self._on_shutdown()


def _json(value: Any | None, what: str) -> Json:
    """Return the OCI structure that an Any carries as JSON."""
    try:
        found: Value = json.loads(b"" if value is None else value.value)
        return as_object(found, what)
    except (ValueError, FormatError) as error:
        raise InvalidArgument(f"the request's {what} is not a JSON object: {error}") from error
