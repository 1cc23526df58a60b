"""A clean, single-threaded process in which containers are really launched, for the tests.

`python -I -S arena.py DIRECTORY` reads a scenario as JSON on stdin and prints what came of it. It
makes an overlay of the host's root (or of a given tree) in DIRECTORY and takes all down again.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time

sys.path.insert(0, os.path.abspath(f"{os.path.dirname(os.path.abspath(__file__))}/../../.."))

from runtime.cgroups.hierarchy import discover, write
from runtime.cgroups.manager import Manager
from runtime.errors import RuntimeFailure
from runtime.formats.idmap import Extent
from runtime.init import ending, launcher, spare
from runtime.linux import caps, constants, mounts, overlay, syscalls

SECONDS = 20


class Arena:
    """One container to be, and what is done with it."""

    def __init__(self, directory: str, scenario: dict) -> None:
        self.directory = directory
        self.scenario = scenario
        self.root = f"{directory}/merged"
        self.cgroup = Manager(f"/cinspect-test-{os.getpid()}/c")
        self.init: launcher.Launched | None = None
        self.spec = scenario["spec"]
        self.result: dict = {}
        self.mounted = False
        self.reader = -1
        """What the init writes is read here, until its end."""

    def prepare(self) -> None:
        for name in ("upper", "work", "merged"):
            os.makedirs(f"{self.directory}/{name}")
        lower = self.scenario.get("lower", "/")
        layers = [f"{key}dir={self.directory}/{key}" for key in ("upper", "work")]
        options = [f"lowerdir={lower}", *layers]
        maps = self.spec["linux"].get("uidMappings")
        mounts.mount("arena", self.directory, fstype="tmpfs") if self.scenario.get(
            "tmpfs"
        ) else None
        if maps:
            extents = [Extent(maps[0]["containerID"], maps[0]["hostID"], maps[0]["size"])]
            overlay.mount_mapped(options, self.root, uids=extents, gids=extents)
        else:
            mounts.mount("overlay", self.root, fstype="overlay", data=",".join(options))
        self.mounted = True
        self.cgroup.create(self.spec["linux"].get("resources") or {})

    def launch(self) -> None:
        self.init, output = self._collect(
            lambda stdio: launcher.create(
                self.spec, rootfs=self.root, cgroup=self.cgroup, stdio=stdio
            ),
            terminal=self.spec["process"].get("terminal", False),
        )
        self.result["init"] = {"output": output}

    def _collect(self, make, *, terminal: bool):
        """Launch with pipes for streams (or a terminal), and return the reading end."""
        if terminal:
            launched = make(None)
            return launched, os.dup(launched.console)
        reader, writer = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        try:
            return make((null, writer, writer)), reader
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
            os.close(null)

    def finish(self, launched: launcher.Launched, reader: int) -> dict:
        """Read all that it writes, and wait for its end."""
        data = b""
        deadline = time.monotonic() + SECONDS
        while select.select([reader], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                part = os.read(reader, 1 << 16)
            except OSError:  # the terminal's other side is closed
                break
            if not part:
                break
            data += part
        if time.monotonic() > deadline:
            signal.pidfd_send_signal(launched.pidfd, signal.SIGKILL)
        ended = os.waitid(constants.P_PIDFD, launched.pidfd, os.WEXITED)
        os.close(reader)
        status = ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status
        launched.close()
        return {"output": data.decode("utf-8", "replace"), "status": status}

    def execute(self, process: dict) -> dict:
        launched, reader = self._collect(
            lambda stdio: launcher.exec_process(
                process,
                self.spec,
                init_pid=self.init.pid,
                init_pidfd=self.init.pidfd,
                cgroup=self.cgroup,
                stdio=stdio,
            ),
            terminal=process.get("terminal", False),
        )
        return self.finish(launched, reader)

    def clean_up(self) -> None:
        launcher.drop()
        if self.init is not None and self.init.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.init.pidfd, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitid(constants.P_PIDFD, self.init.pidfd, os.WEXITED)
            self.init.close()
        if self.reader >= 0:
            os.close(self.reader)
        self.cgroup.delete()
        if self.mounted:
            mounts.unmount(self.root, constants.MNT_DETACH)


def namespaces(pid: int | str) -> dict[str, str]:
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in os.listdir(f"/proc/{pid}/ns")}


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def cgroup_file(arena: Arena, controller: str, *names: str) -> str | None:
    for name in names:
        with (
            contextlib.suppress(OSError),
            open(f"{arena.cgroup.directory(controller)}/{name}") as file,
        ):
            return file.read().strip()
    return None


def host_state() -> dict:
    """What must be the same after as before: mounts, cgroups of ours, descriptors, children."""
    with open("/proc/self/mountinfo") as file:
        found = file.read().splitlines()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
        children = True
    except ChildProcessError:
        children = False
    cgroups = [
        f"{each.mountpoint}/{name}"
        for each in discover()
        for name in os.listdir(each.mountpoint)
        if name == f"cinspect-test-{os.getpid()}"
    ]
    return {
        "mounts": found,
        "cgroups": cgroups,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "children": children,
    }


class Acts:
    """What a scenario can do; each method is an act, and what it returns is kept by its name."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.watch = None

    def create(self) -> int:
        result = self.arena.result
        self.arena.launch()
        self.arena.reader = result["init"].pop("output")
        init = namespaces(self.arena.init.pid)
        result["namespaces"] = {"init": init, "host": namespaces("self")}
        return self.arena.init.pid

    def kill_spare(self) -> None:
        os.kill(spare.pid(), signal.SIGKILL)
        while state_of(spare.pid()) != "Z":
            time.sleep(0.01)

    def start(self) -> None:
        self.arena.init.start()
        if "spare" in self.arena.result:
            self.arena.result["spare"]["after"] = bool(spare.pid())

    def finish(self) -> None:
        reader, self.arena.reader = self.arena.reader, -1
        self.arena.result["init"] = self.arena.finish(self.arena.init, reader)

    def until(self, words: str) -> None:
        """Wait until the container has said something."""
        seen = ""
        while words not in seen:
            if not select.select([self.arena.reader], [], [], SECONDS)[0]:
                raise TimeoutError(words)
            seen += os.read(self.arena.reader, 1 << 16).decode()

    def execute(self, process: dict) -> dict:
        return attempt(lambda: self.arena.execute(process))

    def file(self, controller: str, *names: str) -> str | None:
        return cgroup_file(self.arena, controller, *names)

    def freeze(self) -> bool:
        self.arena.cgroup.freeze()
        return self.arena.cgroup.frozen()

    def thaw(self) -> bool:
        self.arena.cgroup.thaw()
        return self.arena.cgroup.frozen()

    def update(self, resources: dict) -> dict:
        return attempt(lambda: {"value": self.arena.cgroup.update(resources)})

    def kill(self, number: int) -> None:
        self.arena.cgroup.kill(number)

    def stats(self) -> dict:
        return self.arena.cgroup.stats()

    def pids(self) -> int:
        return len(self.arena.cgroup.pids())

    def watch_memory(self) -> None:
        self.watch = self.arena.cgroup.oom_events()

    def out_of_memory(self) -> bool:
        killed = False  # v2 also tells of reaching the limit, before any kill
        while not killed and select.select([self.watch], [], [], SECONDS)[0]:
            killed = self.watch.read()
        self.watch.close()
        return killed

    def delete(self) -> dict:
        outcome = attempt(lambda: {"value": self.arena.cgroup.delete()})
        return outcome | {"exists": self.arena.cgroup.exists()}

    def make_cgroup_below(self) -> None:
        for directory in self.arena.cgroup.directories().values():
            os.makedirs(f"{directory}/below/further")

    def divide_second_version(self) -> list[str]:
        """Do as an init does that manages cgroups: move below, and enable controllers for there."""
        top = self.arena.cgroup.directories().get("unified", "")
        with contextlib.suppress(OSError), open(f"{top}/cgroup.controllers") as file:
            controllers = file.read().split()
            os.mkdir(f"{top}/init.scope")
            write(f"{top}/init.scope/cgroup.procs", str(self.arena.init.pid))
            for each in controllers:
                write(f"{top}/cgroup.subtree_control", f"+{each}")
            return controllers
        return []

    def size(self) -> list[int]:
        return list(os.get_terminal_size(self.arena.init.console))


def play(arena: Arena) -> None:
    """Run the scenario's acts in turn, each a name and its arguments."""
    acts = Acts(arena)
    for name, *arguments in arena.scenario["acts"]:
        outcome = getattr(acts, name)(*arguments)
        arena.result.setdefault(name, []).append(outcome)


def attempt(action) -> dict:
    try:
        return action()
    except (RuntimeFailure, OSError) as error:
        return {"error": type(error).__name__, "message": str(error)}


def main() -> None:
    scenario = json.load(sys.stdin)
    spec = scenario["spec"]
    process = spec["process"]
    if process.get("capabilities") == "default":
        kinds = ("bounding", "effective", "permitted")
        process["capabilities"] = {kind: list(caps.DEFAULT) for kind in kinds}
    # A mount namespace of its own: what others mount meanwhile must not look like a leftover.
    syscalls.unshare(constants.CLONE_NEWNS)
    mounts.mount("", "/", flags=constants.MS_REC | constants.MS_PRIVATE)
    before = host_state()
    arena = Arena(sys.argv[1], scenario)
    try:
        if scenario.get("spare"):
            spare.keep()
            arena.result["spare"] = {"before": bool(spare.pid())}
        arena.prepare()
        play(arena)
    except (RuntimeFailure, OSError) as error:
        arena.result["error"] = type(error).__name__
        arena.result["message"] = str(error)
    finally:
        arena.clean_up()
        ending.collect()
    after = host_state()
    # Mounts may go meanwhile: a mount point that somebody removes disappears in every namespace.
    after["mounts"] = [each for each in before["mounts"] if each in after["mounts"]] + [
        each for each in after["mounts"] if each not in before["mounts"]
    ]
    before["mounts"] = [each for each in before["mounts"] if each in after["mounts"]]
    arena.result["left behind"] = [key for key in before if before[key] != after[key]]
    json.dump(arena.result, sys.stdout)


if __name__ == "__main__":
    main()
