"""Compares listing the namespaces of a busy host with `lsns -J`, side by side in one run.

Makes idle processes, some of them in groups with namespaces of their own as containers are, then
takes turns: `lsns -J`, `cinspect dump --section namespaces`, and the collector alone in a fresh
interpreter. Prints the medians and their ratios, as text and then as one line of JSON.

    python benchmarks/namespaces.py [--processes 4000] [--groups 40] [--rounds 7]
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent

CROWD = """
import ctypes, os, sys
groups, size = int(sys.argv[1]), int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
NEW = 0x00020000 | 0x04000000 | 0x08000000  # CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC
def idle():
    os.close(1)
    os.read(0, 1)  # ends with the benchmark, whichever way that ends
    os._exit(0)
for group in range(groups):
    if os.fork():
        continue
    if group and os.geteuid() == 0 and libc.unshare(NEW):
        raise OSError(ctypes.get_errno(), "unshare")
    for _ in range(size - 1):
        if os.fork() == 0:
            idle()
    os.write(1, b".")
    idle()
os.close(1)
os.read(0, 1)
"""
"""A tiny interpreter that forks: its children share its memory and wait for a pipe to close."""

COLLECTOR = """
import time
from collectors.kernel import namespaces
from collectors.root import Root
started, cpu = time.perf_counter(), time.process_time()
namespaces.read(Root())
print(time.perf_counter() - started, time.process_time() - cpu)
"""


@contextmanager
def crowd(processes: int, groups: int) -> Iterator[None]:
    """Keep that many idle processes alive."""
    size = max(processes // groups, 1)
    command = [sys.executable, "-I", "-S", "-c", CROWD, str(groups), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        try:
            ready = parent.stdout.read()  # ends when every leader has closed its end
            if len(ready) != groups:
                raise SystemExit(f"only {len(ready)} of {groups} groups could be made")
            yield
        finally:
            parent.stdin.close()
            parent.wait()


def environment(bytecode: str) -> dict[str, str]:
    """Return ours, but with compiled modules kept in a directory: what is installed has them."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": bytecode}


class Cost(NamedTuple):
    """Seconds: as a clock on the wall has them, and of processor time."""

    wall: float
    cpu: float


def timed(command: Sequence[str], env: dict[str, str]) -> tuple[Cost, bytes]:
    """Run a command; return its cost and what it printed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = subprocess.run(command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, check=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu), result.stdout


Shown = set[tuple[int, int]]


def shown(lsns: bytes) -> Shown:
    """Return the inodes that lsns lists with the pid it gives each: an inode alone is used again."""
    return {(int(line["ns"]), int(line["pid"])) for line in json.loads(lsns)["namespaces"]}


def check(lasting: Shown, dump: bytes) -> None:
    """Stop when the dump lacks a namespace that lsns shows: speed is nothing without that."""
    ours = {entry["inode"] for entry in json.loads(dump)["namespaces"]}
    if missing := {inode for inode, _ in lasting} - ours:
        raise SystemExit(f"namespaces that lsns shows and the dump does not: {sorted(missing)}")


def dump_command(env: dict[str, str]) -> list[str] | None:
    """Return the dump's command line; None while it cannot run."""
    command = [sys.executable, "-m", "inspector.cli.main", "dump", "--section", "namespaces"]
    probe = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, check=False)
    if probe.returncode == 0 and probe.stdout:
        return command
    print(f"dump does not run: {probe.stderr.decode(errors='replace')[-200:]}", file=sys.stderr)
    return None


def measure(rounds: int, env: dict[str, str]) -> dict[str, Cost]:
    """Take turns; return the medians."""
    dump = dump_command(env)
    costs: dict[str, list[Cost]] = {"lsns": [], "collector": []}
    before: Shown = set()
    dumped = b""
    for _ in range(rounds):
        cost, listed = timed(["lsns", "-J"], env)
        costs["lsns"].append(cost)
        if dumped:
            check(before & shown(listed), dumped)
        before = shown(listed)
        if dump is not None:
            cost, dumped = timed(dump, env)
            costs.setdefault("dump", []).append(cost)
        _, printed = timed([sys.executable, "-c", COLLECTOR], env)
        costs["collector"].append(Cost(*map(float, printed.split())))
    return {
        name: Cost(*map(statistics.median, zip(*found, strict=True)))
        for name, found in costs.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, default=4000)
    parser.add_argument("--groups", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with (
        crowd(options.processes, options.groups),
        tempfile.TemporaryDirectory(prefix="cinspect-bench-") as bytecode,
    ):
        medians = measure(options.rounds, environment(bytecode))
    lsns = medians["lsns"]
    print(f"{options.processes} processes    wall          cpu      of lsns -J: wall   cpu")
    for name, cost in medians.items():
        ratios = f"{cost.wall / lsns.wall:14.2f} {cost.cpu / lsns.cpu:6.2f}"
        print(f"{name:<12} {cost.wall * 1000:8.0f} ms  {cost.cpu * 1000:8.0f} ms {ratios}")
    result = {
        name: {
            "wall_seconds": cost.wall,
            "cpu_seconds": cost.cpu,
            "wall_ratio": cost.wall / lsns.wall,
            "cpu_ratio": cost.cpu / lsns.cpu,
        }
        for name, cost in medians.items()
    }
    print(json.dumps({"processes": options.processes, **result}))


if __name__ == "__main__":
    main()
