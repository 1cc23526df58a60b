"""Compares watching many containers with other watchers, in the same run: processor time for each look.

Makes containers as the kernel sees them (processes in namespaces and cgroups of their own), then lets
`cinspect watch`, `systemd-cgtop`, `lsns` and `glances` take several looks each. Then it starts
containers of a private Docker, for `docker stats` shows its own only, and lets both look at these:
of Docker's the time of its daemons counts too. Prints text, and the same as a line of JSON.

    sudo python benchmarks/observe.py [--containers 100] [--processes 3] [--frames 20] [--rounds 3]
        [--docker 20] [--glances PATH]
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.crowd import crowd  # noqa: E402 - after the path
from tests.engines import daemons  # noqa: E402 - after the path

CINSPECT = str(Path(sys.executable).with_name("cinspect"))
OURS = "cinspect watch, one more frame"


class Cost(NamedTuple):
    """Milliseconds of processor time."""

    cpu: float
    files: int | None = None


def spent(command: Sequence[str]) -> tuple[float, bytes]:
    """Run a command; return the processor time that it took, in milliseconds, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds * 1000, done.stdout


def watch(
    section: str, frames: int, environment: Mapping[str, str] | None = None
) -> dict[str, Cost]:
    """Return the cost of the first frame and, as a median, of the last half of them."""
    command = (CINSPECT, "watch", "--section", section, "--interval", "0.5")
    done = subprocess.run(
        (*command, "--count", str(frames)),
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    output = done.stdout
    costs = [json.loads(line)["cost"] for line in output.splitlines()]
    late = costs[frames // 2 :]
    return {
        f"cinspect watch, first frame ({section})": Cost(
            costs[0]["cpu_seconds"] * 1000, costs[0]["files_read"]
        ),
        f"{OURS} ({section})": Cost(
            statistics.median(cost["cpu_seconds"] for cost in late) * 1000,
            round(statistics.median(cost["files_read"] for cost in late)),
        ),
    }


def repeated(command: Callable[[int], Sequence[str]], looks: int) -> Cost:
    """Return what one more look costs: that of many, less that of one, over their difference."""
    many, _ = spent(command(looks + 1))
    one, _ = spent(command(1))
    return Cost(max(0.0, many - one) / looks)


def measure(frames: int, glances: str | None) -> dict[str, Cost]:
    """Take each watcher's looks once."""
    found = watch("containers", frames) | watch("processes", frames)
    if glances:
        found["glances, one more look"] = repeated(
            lambda looks: (
                glances, "--stdout", "processlist,containers", "--time", "1",
                "--stop-after", str(looks),
            ),
            4,
        )  # fmt: skip
    if shutil.which("systemd-cgtop"):
        found["systemd-cgtop, one more look"] = repeated(
            lambda looks: (
                "systemd-cgtop", "--batch", "--raw", "-d", "200ms", "--depth=9", f"-n{looks}",
            ),
            5,
        )  # fmt: skip
    if shutil.which("lsns"):
        found["lsns --json, each time"] = Cost(spent(("lsns", "--json"))[0])
    return found


@contextmanager
def dockered(many: int) -> Iterator[daemons.Engine]:
    """Keep a private Docker with so many containers; yield it."""
    with (
        tempfile.TemporaryDirectory(prefix="cinspect-bench-", dir="/var/tmp") as directory,
        contextlib.ExitStack() as stack,
    ):
        scratch = Path(directory)
        tar = daemons.archive(daemons.make_rootfs(scratch))
        ctr = stack.enter_context(daemons.containerd(scratch))
        assert ctr.address
        docker = stack.enter_context(daemons.docker(scratch, ctr.address, tar))
        for _ in range(many):
            docker("run", "--detach", "--network", "none", daemons.IMAGE, "sleep", "1000")
        yield docker


def daemons_spent(pids: Sequence[int]) -> float:
    """Return the processor time of these processes until now, in milliseconds."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total * 1000 / os.sysconf("SC_CLK_TCK")


def children() -> list[int]:
    """Return the pids of the daemons: this process's own children."""
    me = os.getpid()
    return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]


def docker_stats(docker: daemons.Engine, seconds: int) -> Cost:
    """Return what a second of `docker stats` costs: the client's time and the daemons'."""
    pids = children()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    daemon = daemons_spent(pids)
    with subprocess.Popen((*docker.command, "stats"), stdout=subprocess.DEVNULL) as client:
        time.sleep(seconds)
        client.send_signal(signal.SIGINT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost((own * 1000 + daemons_spent(pids) - daemon) / seconds)


def beside_docker(docker: daemons.Engine, frames: int) -> dict[str, Cost]:
    """Take the looks of both at Docker's containers once."""
    pids = children()
    before = daemons_spent(pids)
    found = watch("containers", frames, docker.environment)
    asked = (daemons_spent(pids) - before) / frames
    ours = found[f"{OURS} (containers)"]
    found[f"{OURS} (containers)"] = Cost(ours.cpu + asked, ours.files)
    found["docker stats, one more second"] = docker_stats(docker, 8)
    return found


def report(title: str, rounds: Sequence[Mapping[str, Cost]]) -> None:
    """Print each one's median, and its ratio to our steady frame."""
    medians = {
        name: Cost(statistics.median(one[name].cpu for one in rounds), rounds[-1][name].files)
        for name in rounds[0]
    }
    ours = medians[f"{OURS} (containers)"].cpu
    print(title)
    for name, cost in sorted(medians.items(), key=lambda item: item[1].cpu):
        files = "" if cost.files is None else f"{cost.files:8} files"
        print(f"  {name:<46} {cost.cpu:9.1f} ms {cost.cpu / ours:8.2f} of ours {files}")
    print(json.dumps({"benchmark": title, "cpu_ms": {k: v.cpu for k, v in medians.items()}}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--containers", type=int, default=100)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--docker", type=int, default=20 if shutil.which("dockerd") else 0)
    parser.add_argument("--glances", default=shutil.which("glances"))
    options = parser.parse_args()
    with crowd(options.containers, options.processes):
        time.sleep(1)
        rounds = [measure(options.frames, options.glances) for _ in range(options.rounds)]
    report(
        f"{options.containers} containers of {options.processes} processes, processor time a look",
        rounds,
    )
    if options.docker:
        with dockered(options.docker) as docker:
            time.sleep(1)
            rounds = [beside_docker(docker, options.frames) for _ in range(options.rounds)]
        report(f"{options.docker} containers of Docker's, the daemons' time counted in", rounds)


if __name__ == "__main__":
    main()
