"""One container in a shim: its cgroups, its root filesystem, its init and its execs."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from runtime import errors
from runtime.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from runtime.init import launcher
from runtime.init.plan import SIBLING, Identity
from runtime.proto import events
from runtime.proto.wellknown import Timestamp
from runtime.shim import bundle, placing, rootfs
from runtime.shim.log import ContainerLog
from runtime.shim.loop import READ
from runtime.shim.process import Process
from runtime.shim.saying import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.cgroups.manager import Manager
    from runtime.cgroups.oom import OomWatch
    from runtime.proto.task import CreateTaskRequest
    from runtime.shim.bundle import Json
    from runtime.shim.host import Host
    from runtime.shim.server import Reply

DRAIN_SECONDS = 10
"""How long a Delete waits for a client that does not read."""
_OOM_KILL_SECONDS = 0.2
"""How long after its notice of a lack of memory the kernel has killed, or found some."""


class Container:
    """Made by `create`; every public method is what a request asks for, or raises why it cannot."""

    def __init__(self, host: Host, container_id: str, directory: str) -> None:
        self.id = container_id
        self.bundle = directory
        self.init: Process
        self.execs: dict[str, Process] = {}
        self.state = bundle.State()
        self._host = host
        self._log: ContainerLog | None = None
        self._oom: OomWatch | None = None
        self._rootfs = os.path.join(directory, "rootfs")
        self._spec: Json | None = None
        self._cgroup: Manager | None = None

    @property
    def spec(self) -> Json:
        """The OCI spec of its bundle."""
        if self._spec is None:
            self._spec = bundle.read_json(os.path.join(self.bundle, "config.json"))
        return self._spec

    @property
    def cgroup(self) -> Manager:
        """Its cgroups. Raises `Unavailable` where systemd cannot be asked for them."""
        if self._cgroup is None:
            self._cgroup = placing.cgroups(self.spec, self.id, self.state)
        return self._cgroup

    # Making it

    @classmethod
    def create(cls, host: Host, request: CreateTaskRequest) -> Container:
        """Make one, whose init waits for its start; what fails leaves nothing behind."""
        made = cls(host, request.id, request.bundle)
        made.init = Process(
            exec_id="",
            terminal=request.terminal,
            stdin=request.stdin,
            stdout=request.stdout,
            stderr=request.stderr,
            spec=bundle.section(made.spec, "process"),
        )
        made._log = None if host.home is None else ContainerLog(host.home.log)
        made._create(request)
        return made

    def _create(self, request: CreateTaskRequest) -> None:
        if bool(self.init.spec.get("terminal")) != request.terminal:
            raise InvalidArgument("the request and the spec disagree about a terminal")
        from runtime.oci import support  # noqa: PLC0415 - a server starts without it

        support.refuse(self.spec)
        try:
            root = self._rootfs
            if request.rootfs:
                rootfs.mount_all(request.rootfs, root, maps=launcher.id_maps(self.spec))
            else:
                root = os.path.join(request.bundle, self.spec["root"]["path"])
            self._launch(root, cache=self._host.seccomp_cache)
        except BaseException:
            self._take_down()
            raise
        pid = self.init.pid
        self._watch(self.init)
        self._watch_oom()
        if self.state.unit:
            self._host.loop.watch(self.init.pidfd, READ, self._ends)
        bundle.write_pid(self.bundle, pid)
        self.state.pid, self.state.pid_ticks = pid, bundle.start_ticks(pid)
        self._save()
        self._host.publisher.created(request, pid)

    def _launch(self, root: str, *, cache: str) -> None:
        with launcher.ahead(
            self.spec, rootfs=root, cgroup=self.cgroup, seccomp_cache=cache, manner=SIBLING
        ) as create:
            self._cgroup = placing.made(self.cgroup, self.spec)
            self.state.cgroup, self.state.unit = self.cgroup.path, self.cgroup.unit
            self.state.service_class = tuple(self.cgroup.service_class or ())
            self.init.launch(
                self._host.loop,
                lambda stdio: create(self.cgroup, stdio),
                log=self._log,
                hold=self._host.home is None,
            )
        self.cgroup.settled()

    def _watch_oom(self) -> None:
        self._oom = self._oom or self.cgroup.oom_events()
        if self._oom is not None:
            self._host.loop.watch(self._oom.fileno(), READ, self._out_of_memory)

    def _out_of_memory(self, _events: int) -> None:
        # cgroup v1 tells of the lack of memory before it has chosen whom to kill: look again.
        if not self._oom_seen():
            self._host.loop.later(_OOM_KILL_SECONDS, self._oom_seen)

    def _ends(self, _events: int) -> None:
        # With the last process systemd removes the cgroup: look before the keeper tells of the end.
        self._host.loop.forget(self.init.pidfd)
        self._oom_seen()

    def _save(self) -> None:
        self.state.status = self.init.status
        self.state.save(os.path.join(self.bundle, "state.json"))

    # Between two workers

    @property
    def idle(self) -> bool:
        """Whether its command runs and nothing is under way, nor will have to be looked at in haste."""
        if self.state.unit and self._oom is not None:
            return False  # with its last process systemd removes the cgroup, and what it counted
        return self.init.status in {"running", "paused"} and all(
            each.idle for each in (self.init, *self.execs.values())
        )

    def rest(self) -> Json:
        """Return what `again` makes it of; the spec is its bundle's."""
        return {
            "id": self.id,
            "bundle": self.bundle,
            "state": self.state.plain(),
            "log": None if self._log is None else self._log.descriptor,
            "oom": None if self._oom is None else self._oom.rest(),
            "processes": [each.rest() for each in (self.init, *self.execs.values())],
        }

    @classmethod
    def again(
        cls, host: Host, rest: Json, *, reply: Callable[[tuple[int, int]], Reply]
    ) -> Container:
        """Go on for the container that another worker had, whose descriptors this one has."""
        made = cls(host, rest["id"], rest["bundle"])
        made.state = bundle.State(**rest["state"])
        if host.home is not None:
            made._log = ContainerLog(host.home.log, descriptor=rest["log"])
        if rest["oom"] is not None:
            from runtime.cgroups.oom import OomWatch  # noqa: PLC0415 - a server starts without it

            made._oom = OomWatch.again(rest["oom"])
            made._watch_oom()
        for number, each in enumerate(rest["processes"]):
            process = Process.again(each, host.loop, log=None if number else made._log, reply=reply)
            if number:
                made.execs[process.exec_id] = process
            else:
                made.init = process
            if process.running:
                made._watch(process)
        return made

    def _watch(self, process: Process) -> None:
        self._host.reaper.watch(process.pid, lambda status, at: self._ended(process, status, at))

    # What is asked of it

    def process(self, exec_id: str) -> Process:
        """Return the init (empty id) or an exec, or raise `NotFound`."""
        if not exec_id:
            return self.init
        if exec_id not in self.execs:
            raise NotFound(f"no exec {exec_id!r} in container {self.id}")
        return self.execs[exec_id]

    def start(self, exec_id: str) -> int:
        """Let the init run its command, or start an exec; return the pid."""
        process = self.process(exec_id)
        if exec_id:
            self._start_exec(process)
            return process.pid
        process.advance("start")
        process.release()
        self.state.started_at = time.time_ns()
        self._save()
        self._host.publisher.publish(events.TaskStart(container_id=self.id, pid=process.pid))
        return process.pid

    def add_exec(self, process: Process) -> None:
        """Register an exec."""
        if self.init.status == "stopped":
            raise FailedPrecondition(f"container {self.id} has stopped")
        if process.exec_id in self.execs:
            raise AlreadyExists(f"there is an exec {process.exec_id!r} already")
        self.execs[process.exec_id] = process
        self._host.publisher.publish(
            events.TaskExecAdded(container_id=self.id, exec_id=process.exec_id)
        )

    def _start_exec(self, process: Process) -> None:
        if self.init.status != "running":
            raise FailedPrecondition(f"container {self.id} is {self.init.status}, not running")
        process.advance("start")
        try:
            process.launch(
                self._host.loop,
                lambda stdio: launcher.exec_process(
                    process.spec,
                    self.spec,
                    init_pid=self.init.pid,
                    init_pidfd=self.init.pidfd,
                    cgroup=self.cgroup,
                    stdio=stdio,
                    seccomp_cache=self._host.seccomp_cache,
                    manner=SIBLING,
                ),
                log=None,
                hold=self._host.home is None,
            )
        except BaseException:
            process.status = "stopped"
            process.exited_at = time.time_ns()
            process.exit_status = 255
            process.report()
            raise
        self._watch(process)
        self._host.publisher.publish(
            events.TaskExecStarted(container_id=self.id, exec_id=process.exec_id, pid=process.pid)
        )

    def kill(self, exec_id: str, number: int, *, everybody: bool) -> None:
        """Send a signal to a process, or to all of the container's."""
        process = self.process(exec_id)
        if everybody and not process.exited_at:
            self.cgroup.kill(number)
        else:
            process.kill(number)
        if number == signal.SIGKILL and process is self.init and self.init.status == "paused":
            # In a frozen cgroup of version 1 nothing ends, not even by SIGKILL, until it is thawed.
            # In one of version 2 all has ended by now, and systemd may have removed it.
            with contextlib.suppress(FailedPrecondition):
                self.resume()

    def pause(self) -> None:
        """Freeze it."""
        self.init.advance("pause")
        try:
            self.cgroup.freeze()
        except BaseException:
            self.init.advance("resume")
            raise
        self._save()
        self._host.publisher.publish(events.TaskPaused(container_id=self.id))

    def resume(self) -> None:
        """Thaw it."""
        self.init.advance("resume")
        self.cgroup.thaw()
        self._save()
        self._host.publisher.publish(events.TaskResumed(container_id=self.id))

    def update(self, resources: Json) -> None:
        """Change limits."""
        if self.init.status == "stopped":
            raise FailedPrecondition(f"container {self.id} has stopped")
        self.cgroup.update(resources)

    # Its end

    def _ended(self, process: Process, wait_status: int, at: int) -> None:
        process.ended(wait_status, at)
        if process is self.init:
            running = [each for each in self.execs.values() if each.running]
            if running or not bundle.own_pid_namespace(self.spec):
                self.cgroup.kill(signal.SIGKILL)
        else:
            self._report(process)
        # the init's exit is the last one of a container: its execs' come first
        if not self.init.exited_at or self.init.reported:
            return
        if not any(each.running for each in self.execs.values()):
            self._report(self.init)
            self._host.on_exit(self)

    def _report(self, process: Process) -> None:
        if process is self.init:
            if self._host.home is not None:
                # whoever sees that it has stopped finds all that it wrote in the log
                process.drain(lambda: None)
            self.state.finished_at = process.exited_at
            self.state.exit_code = process.exit_status
            self._oom_seen()  # the exit may have been told before the kernel's notice was
            self._save()
            if self._host.home is not None:
                self.state.save(self._host.home.exit_path)
        self._host.publisher.publish(
            events.TaskExit(
                container_id=self.id,
                id=process.exec_id or self.id,
                pid=process.pid,
                exit_status=process.exit_status,
                exited_at=Timestamp.of(process.exited_at),
            )
        )
        process.report()

    def _oom_seen(self) -> bool:
        """Tell whether the kernel has killed since the last look, and publish that it has."""
        if self._oom is None or not self._oom.read():
            return False
        self.state.oom_killed = True
        self._host.publisher.publish(events.TaskOOM(container_id=self.id))
        return True

    def delete(self, exec_id: str, done: Callable[[Process], None]) -> None:
        """Forget an exec or, for the init, take everything down; then call `done`.

        A created init is killed first; a running one raises `FailedPrecondition`.
        """
        process = self.process(exec_id)
        if process.status == "created" and process.running:
            process.kill(signal.SIGKILL)
            process.when_exited(lambda: self.delete(exec_id, done))
            return
        process.advance("delete")
        timer = self._host.loop.later(DRAIN_SECONDS, process.close)

        def drained() -> None:
            timer.cancel()
            process.close()
            if exec_id:
                self.execs.pop(exec_id, None)
            else:
                self._deleted()
            done(process)

        process.drain(drained)

    def _deleted(self) -> None:
        for process in self.execs.values():
            process.close()
        self._take_down()
        self._host.publisher.publish(
            events.TaskDelete(
                container_id=self.id,
                pid=self.init.pid,
                exit_status=self.init.exit_status,
                exited_at=Timestamp.of(self.init.exited_at),
                id=self.id,
            )
        )

    def _take_down(self) -> None:
        """Remove cgroups and mounts; what fails is left for `remove`, which looks again."""
        self._host.loop.forget(self.init.pidfd)
        self.init.close()
        if self._oom is not None:
            self._host.loop.forget(self._oom.fileno())
            self._oom.close()
            self._oom = None
        if self._log is not None:
            self._log.close()
        try:
            self.cgroup.delete()
        except errors.RuntimeFailure as error:
            say(f"cannot remove the cgroups of {self.id}: {error}")
        rootfs.unmount_all(self._rootfs)
        launcher.after_end(self.spec, Identity(self.id, self.bundle), warn=say)
