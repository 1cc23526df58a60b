"""Compares starting a container to its end, and running a command in one, with the peers.

Everyone gets the same static busybox root, no network beyond a namespace of its own, and limits of
memory and processes where it takes them. Daemons are private ones, started for this run.

    sudo python benchmarks/lifecycle.py [--rounds 15]
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks import rounds  # noqa: E402 - after the path
from runtime.api import Runtime  # noqa: E402 - after the path
from runtime.types import ContainerOptions, ExecOptions, Resources  # noqa: E402 - after the path
from tests.engines import daemons  # noqa: E402 - after the path

CINSPECT = str(Path(sys.executable).with_name("cinspect"))
ULIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
Timer = Callable[[], float]


class Peers:
    """What can be measured, by name: `start` runs `true` to its end, `exec` does so inside."""

    def __init__(self) -> None:
        self.start: dict[str, Timer] = {}
        self.exec: dict[str, Timer] = {}

    def add(self, name: str, start: tuple[str, ...], inside: tuple[str, ...]) -> None:
        """Add one by its two command lines."""
        self.start[name] = lambda: rounds.run(start)
        self.exec[name] = lambda: rounds.run(inside)


@contextlib.contextmanager
def cinspect(peers: Peers, scratch: Path, rootfs: Path) -> Iterator[None]:
    """Add the embedded engine, as its command line runs it."""
    command = (CINSPECT, "--root", f"{scratch}/cinspect", "--state", f"{scratch}/cinspect-state")
    limits = ("--memory", "128m", "--pids-limit", "64", "--rootfs", str(rootfs))
    subprocess.run(
        (*command, "run", "--detach", "--name", "held", *limits, "sleep", "1000"),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    peers.add(
        "cinspect",
        (*command, "run", "--rm", *limits, "true"),
        (*command, "exec", "held", "true"),
    )
    try:
        yield
    finally:
        subprocess.run((*command, "rm", "--force", "held"), check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def warm(peers: Peers, scratch: Path, rootfs: Path) -> Iterator[None]:
    """Add the embedded engine as the dashboard has it: in a process that stays, kept warm."""
    engine = Runtime(root=f"{scratch}/warm", state=f"{scratch}/warm-state")
    limits = Resources(memory_bytes=128 << 20, pids_limit=64)
    once = ContainerOptions(rootfs=str(rootfs), command=("true",), resources=limits)

    async def start() -> None:
        container = await engine.create(once)
        await engine.start(container.id)
        await engine.wait(container.id)
        await engine.remove(container.id)

    async def inside() -> None:
        number = await engine.exec("held", ExecOptions(command=("true",)))
        await engine.wait("held", exec_id=number)
        await engine.delete_exec("held", number)

    def timed(job: Callable[[], Coroutine[None, None, None]]) -> float:
        started = time.perf_counter()
        runner.run(job())
        return time.perf_counter() - started

    held = replace(once, name="held", command=("sleep", "1000"))
    with asyncio.Runner() as runner:
        runner.run(engine.warm())
        runner.run(engine.start(runner.run(engine.create(held)).id))
        peers.start["cinspect, warm"] = lambda: timed(start)
        peers.exec["cinspect, warm"] = lambda: timed(inside)
        try:
            yield
        finally:
            runner.run(engine.remove("held", force=True))
            runner.run(engine.close())


@contextlib.contextmanager
def runc(peers: Peers, scratch: Path, rootfs: Path) -> Iterator[None]:
    """Add runc with no engine above it."""
    command = ("runc", "--root", f"{scratch}/runc")
    for name, arguments in (("held", ["sleep", "1000"]), ("true", ["true"])):
        bundle = scratch / f"bundle-{name}"
        bundle.mkdir()
        subprocess.run(("runc", "spec", "--bundle", bundle), check=True)
        path = bundle / "config.json"
        spec = json.loads(path.read_text())
        spec["process"] |= {"terminal": False, "args": arguments, "rlimits": []}
        spec["root"]["path"] = str(rootfs)
        spec["linux"] |= {
            "cgroupsPath": f"/{scratch.name}-{name}",
            "resources": {"memory": {"limit": 128 << 20}, "pids": {"limit": 64}},
        }
        path.write_text(json.dumps(spec))
    rounds.run((*command, "run", "--detach", "--bundle", f"{scratch}/bundle-held", "held"))
    peers.add(
        "runc",
        (*command, "run", "--bundle", f"{scratch}/bundle-true", "once"),
        (*command, "exec", "held", "true"),
    )
    try:
        yield
    finally:
        subprocess.run((*command, "delete", "--force", "held"), check=True)


def daemons_of(stack: contextlib.ExitStack, peers: Peers, scratch: Path, tar: Path) -> None:
    """Add Docker, containerd and Podman, with a container each for the commands inside."""
    ctr = stack.enter_context(daemons.containerd(scratch))
    assert ctr.address
    docker = stack.enter_context(daemons.docker(scratch, ctr.address, tar))
    limits = ("--network", "none", "--memory", "128m", "--pids-limit", "64")
    docker("run", "--detach", "--name", "held", *limits, daemons.IMAGE, "sleep", "1000")
    peers.add(
        "docker",
        (*docker.command, "run", "--rm", *limits, daemons.IMAGE, "true"),
        (*docker.command, "exec", "held", "true"),
    )

    image = f"docker.io/library/{daemons.IMAGE}"
    docker("save", daemons.IMAGE, "--output", f"{scratch}/image.tar")
    ctr("images", "import", f"{scratch}/image.tar")
    ctr("run", "--detach", image, "held", "sleep", "1000")
    stack.callback(ctr, "containers", "rm", "held")
    stack.callback(ctr, "tasks", "rm", "--force", "held")
    peers.add(
        "containerd (ctr)",
        (*ctr.command, "run", "--rm", "--memory-limit", str(128 << 20), image, "once", "true"),
        (*ctr.command, "tasks", "exec", "--exec-id", "x", "held", "true"),
    )

    podman = stack.enter_context(daemons.podman(scratch, tar))
    limits = (*limits, *ULIMITS)
    podman("run", "--detach", "--name", "held", *limits, daemons.IMAGE, "sleep", "1000")
    peers.add(
        "podman",
        (*podman.command, "run", "--rm", *limits, daemons.IMAGE, "true"),
        (*podman.command, "exec", "held", "true"),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    peers = Peers()
    with (
        tempfile.TemporaryDirectory(prefix="cinspect-", dir="/var/tmp") as directory,
        contextlib.ExitStack() as stack,
    ):
        # Its name is containerd's namespace, which may not be any.
        scratch = Path(directory) / f"b{os.getpid()}"
        scratch.mkdir()
        rootfs = daemons.make_rootfs(scratch)
        tar = daemons.archive(rootfs)
        stack.enter_context(cinspect(peers, scratch, rootfs))
        stack.enter_context(warm(peers, scratch, rootfs))
        stack.enter_context(runc(peers, scratch, rootfs))
        daemons_of(stack, peers, scratch, tar)
        rounds.report("start to exit", rounds.medians(peers.start, options.rounds), "cinspect")
        rounds.report("exec", rounds.medians(peers.exec, options.rounds), "cinspect")


if __name__ == "__main__":
    main()
