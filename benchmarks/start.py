"""Compares starting a container of one bundle to its end, and running `true` in one, with the peers.

Everyone gets the same bundle: a static busybox root, the mounts and masked paths that `runc spec`
writes, three capabilities, namespaces of its own but for users, limits of memory and processes.

    sudo python benchmarks/start.py [--rounds 40]
"""

import argparse
import asyncio
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks import rounds  # noqa: E402 - after the path
from runtime.api import Runtime  # noqa: E402 - after the path
from runtime.types import ContainerOptions, ExecOptions, Resources  # noqa: E402 - after the path
from tests import traces  # noqa: E402 - after the path
from tests.engines import daemons  # noqa: E402 - after the path

BIN = Path(sys.executable).parent
UNIFIED = "/sys/fs/cgroup/unified"
OURS = "cinspect, warm"
NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")
SLEEP = ("sleep", "10000")
PAUSE = 0.15
"""Moving a process between cgroups is quick just after another was moved, in seconds."""
REST = 4.0
"""After so many seconds a shim of cinspect's that nobody asked for anything is one process alone."""
ULIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


class Worker:
    """A process that does jobs, a line each, and times them itself."""

    def __init__(self, stack: contextlib.ExitStack, *command: str) -> None:
        self._process = stack.enter_context(
            subprocess.Popen(
                (sys.executable, "-I", "-S", *command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )

    def __call__(self, job: str) -> float:
        """Do one job; return its seconds."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(job + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"no answer to {job}"
        return float(answer)


class Peers:
    """What can be measured, by name."""

    def __init__(self, scratch: Path, stack: contextlib.ExitStack) -> None:
        self.scratch = scratch
        self.stack = stack
        self.start: dict[str, Callable[[], float]] = {}
        self.exec: dict[str, Callable[[], float]] = {}
        self.memory: dict[str, int] = {}
        """Pids of the processes that stay beside an idle container."""
        scratch.mkdir()  # its name is containerd's namespace, which may not be any
        self.rootfs = daemons.make_rootfs(scratch)

    def bundle(self, name: str, *command: str) -> str:
        """Make a bundle; return its directory."""
        bundle = self.scratch / "bundles" / name
        bundle.mkdir(parents=True)
        subprocess.run(("runc", "spec", "--bundle", bundle), check=True)
        path = bundle / "config.json"
        spec: dict[str, Any] = json.loads(path.read_text())
        spec["process"] |= {"terminal": False, "args": command, "rlimits": []}
        spec["root"]["path"] = str(self.rootfs)
        spec["linux"] |= {"cgroupsPath": f"/{self.scratch.name}-{name}"}
        spec["linux"]["namespaces"] = [{"type": each} for each in NAMESPACES]
        spec["linux"]["resources"] |= {"memory": {"limit": 128 << 20}, "pids": {"limit": 64}}
        path.write_text(json.dumps(spec))
        return str(bundle)


def warm(peers: Peers) -> None:
    """Add our launcher in a process that stays, and the least that any could do."""
    worker = Worker(peers.stack, f"{PROJECT}/benchmarks/warm.py")
    bundle, held = peers.bundle("warm", "true"), peers.bundle("warm-held", *SLEEP)
    worker(f"hold {held}")
    peers.stack.callback(worker, "drop")

    def run() -> float:
        seconds = worker(f"run {bundle}")
        worker("clean")
        return seconds

    peers.start["clone and exec"] = lambda: worker(f"floor {bundle}")
    peers.start[OURS] = run
    peers.start["cinspect, warm, with its removal"] = lambda: sum(
        (worker(f"run {bundle}"), worker("clean"))
    )
    peers.exec[OURS] = lambda: worker("exec")


def commands(peers: Peers, name: str, worker: Worker, *command: str) -> None:
    """Add an OCI runtime's command line."""
    label = Path(command[0]).name
    command = (*command, "--root", f"{peers.scratch}/{name}")
    bundle, held = peers.bundle(name, "true"), peers.bundle(f"{name}-held", *SLEEP)
    worker(json.dumps([*command, "run", "--detach", "--bundle", held, f"{name}-held"]))
    peers.stack.callback(worker, json.dumps([*command, "delete", "--force", f"{name}-held"]))
    run = json.dumps([*command, "run", "--bundle", bundle, name])
    inside = json.dumps([*command, "exec", f"{name}-held", "true"])
    peers.start[label] = lambda: worker(run)
    peers.exec[label] = lambda: worker(inside)


def bubblewrap(peers: Peers, worker: Worker) -> None:
    """Add bwrap, which has no cgroups and no exec."""
    places = ("--ro-bind", str(peers.rootfs), "/", "--proc", "/proc", "--dev", "/dev")
    run = json.dumps(["bwrap", *places, "--unshare-all", "--cap-drop", "ALL", "true"])
    peers.start["bwrap"] = lambda: worker(run)


def shims(peers: Peers, worker: Worker) -> None:
    """Add our shim and containerd's, in a containerd started for this."""
    os.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"
    ctr = peers.stack.enter_context(daemons.containerd(peers.scratch))
    for runtime in ("io.containerd.cinspect.v1", "io.containerd.runc.v2"):
        name = runtime.rsplit(".", 2)[1]
        bundle, held = peers.bundle(f"ctr-{name}", "true"), peers.bundle(f"ctr-{name}-held", *SLEEP)
        begin = (*ctr.command, "run", "--null-io", "--runtime", runtime)
        ctr(
            *begin[len(ctr.command) :],
            "--detach",
            "--config",
            f"{held}/config.json",
            f"{name}-held",
        )
        run = json.dumps([*begin, "--rm", "--config", f"{bundle}/config.json", name])
        inside = (*ctr.command, "tasks", "exec", "--exec-id", "once", f"{name}-held", "true")
        label = f"ctr, shim of {'cinspect' if name == 'cinspect' else 'containerd'}"
        peers.start[label] = functools.partial(worker, run)
        peers.exec[label] = functools.partial(worker, json.dumps(inside))
        time.sleep(REST)
        tasks = (line.split() for line in ctr("tasks", "ls").splitlines())
        pid = next(int(fields[1]) for fields in tasks if fields[0] == f"{name}-held")
        status = Path(f"/proc/{pid}/status").read_text()
        peers.memory[label] = int(status.partition("PPid:")[2].split()[0])


def engine(peers: Peers, runner: asyncio.Runner) -> None:
    """Add the whole engine, warm as the dashboard has it: records, layers, log, events and a shim."""
    runtime = Runtime(root=f"{peers.scratch}/engine", state=f"{peers.scratch}/engine-state")
    limits = Resources(memory_bytes=128 << 20, pids_limit=64)
    once = ContainerOptions(rootfs=str(peers.rootfs), command=("true",), resources=limits)

    async def hold() -> int:
        await runtime.warm()
        held = await runtime.create(replace(once, name="held", command=SLEEP))
        shim = (await runtime.start(held.id)).shim
        assert shim
        return shim.pid

    async def start() -> None:
        made.append((await runtime.create(once)).id)
        await runtime.start(made[-1])
        await runtime.wait(made[-1])

    async def run() -> None:
        number = await runtime.exec("held", ExecOptions(command=("true",)))
        await runtime.wait("held", exec_id=number)
        await runtime.delete_exec("held", number)

    def started() -> float:
        seconds = timed(runner, start)()
        runner.run(runtime.remove(made.pop()))
        return seconds

    async def end() -> None:
        await runtime.remove("held", force=True)
        await runtime.close()

    made: list[str] = []
    peers.memory["cinspect's shim, forked warm"] = runner.run(hold())
    peers.stack.callback(lambda: runner.run(end()))
    peers.start["cinspect, the whole engine, warm"] = started
    peers.exec["cinspect, the whole engine, warm"] = timed(runner, run)


def timed(runner: asyncio.Runner, job: Callable[[], Awaitable[None]]) -> Callable[[], float]:
    """Return what times a job."""

    async def run() -> float:
        started = time.perf_counter()
        await job()
        return time.perf_counter() - started

    return lambda: runner.run(run())


def conmon(peers: Peers) -> None:
    """Add what Podman leaves beside an idle container."""
    peers.stack.callback(unmount, f"{peers.scratch}/podman/overlay")
    podman = peers.stack.enter_context(daemons.podman(peers.scratch, daemons.archive(peers.rootfs)))
    podman("run", "--detach", "--network", "none", *ULIMITS, daemons.IMAGE, *SLEEP)
    peers.memory["conmon"] = int(podman("inspect", "--latest", "--format", "{{.State.ConmonPid}}"))


def unmount(storage: str) -> None:
    """Unmount Podman's storage, which it mounts on itself, more than once, and leaves.

    `os.path.ismount` does not see it: the directory above is on the same filesystem.
    """
    for mountpoint in traces.mounts(storage):
        subprocess.run(("umount", mountpoint), check=True)


def measured(pid: int) -> dict[str, int]:
    """Return what a process takes, in KiB (proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    values = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    private = values["Private_Clean"] + values["Private_Dirty"]
    return {"private": private, "pss": values["Pss"], "rss": values["Rss"]}


@contextlib.contextmanager
def everyone(scratch: Path) -> Iterator[Peers]:
    """Make all of them ready, and take all down at the end."""
    with contextlib.ExitStack() as stack:
        peers = Peers(scratch, stack)
        runner = stack.enter_context(asyncio.Runner())
        warm(peers)
        plain = Worker(stack, f"{PROJECT}/benchmarks/spawn.py")
        hybrid = os.path.isdir(UNIFIED)
        alone = Worker(stack, f"{PROJECT}/benchmarks/spawn.py", *([UNIFIED] if hybrid else []))
        commands(peers, "oci", plain, str(BIN / "cinspect-oci"))
        commands(peers, "runc", plain, "runc")
        commands(peers, "crun", alone, "crun")
        bubblewrap(peers, plain)
        engine(peers, runner)
        shims(peers, plain)
        conmon(peers)
        yield peers


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="cinspect-", dir="/var/tmp") as directory,
        everyone(Path(directory) / f"b{os.getpid()}") as peers,
    ):
        time.sleep(REST)
        memory = {name: measured(pid) for name, pid in peers.memory.items()}
        rounds.report(
            "start to exit", rounds.medians(peers.start, options.rounds, pause_seconds=PAUSE), OURS
        )
        rounds.report("exec", rounds.medians(peers.exec, options.rounds, pause_seconds=PAUSE), OURS)
        print("memory beside an idle container, in KiB")
        for name, values in sorted(memory.items(), key=lambda item: item[1]["private"]):
            print(f"  {name:<36}", *(f"{key} {value:>6}" for key, value in values.items()))
        print(json.dumps({"benchmark": "memory", "kibibytes": memory}))


if __name__ == "__main__":
    main()
