"""Starts a small machine, systemd as its first process, and runs one command in it.

Four lanes, each with the host's own root directory (so with this checkout, its Python and every
package of the host) under a throwaway overlay:

- `ns-v1`: namespaces on this kernel, cgroup v1 with every controller the host has there; 1 s.
- `ns-v2`: the same with cgroup v2, and those controllers that the host left to it; 1 s.
- `uml`: User-Mode Linux, cgroup v2 with cpu, io, memory and pids; 7 s, on one CPU.
- `qemu`: Debian's kernel under emulation, cgroup v2 with every controller, pressure stalls, time
  namespaces, nftables, two CPUs; 25 s, and twenty times slower from there on. kernel.py fetches it.

    python tests/machines/machine.py uml -- pytest tests/live

What the command wrote comes back on standard output, its exit status as this one's (124: it took
too long, 125: the machine did not start). Nothing stays behind, however this process ends.
"""

import argparse
import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))  # for when it is run by its path

from tests.machines import kernel  # noqa: E402 - after the path

GUEST: Final = HERE / "guest"
CHECKOUT: Final = HERE.parent.parent
LANES: Final = ("ns-v1", "ns-v2", "uml")
"""Those that are quick enough for all of the tests for every host."""
EMULATED: Final = "qemu"
TIMED_OUT: Final = 124
NOT_STARTED: Final = 125
UML_MEMORY_MIB: Final = 2048
DISK_BYTES: Final = 4 << 30
QEMU_MEMORY_MIB: Final = 2048
REAL_TIME_USEC: Final = 100_000
"""What a second of a machine may have of real-time scheduling, where that is shared out."""


@dataclass(frozen=True)
class Outcome:
    """How the command ended, and what it and the machine's console said."""

    exit_code: int
    output: str
    console: str


def missing(lane: str) -> str | None:
    """Return why this lane cannot be on this host, or None if it can."""
    if os.geteuid() != 0:
        return "it needs root"
    needed = ["unshare", "setpriv", "/lib/systemd/systemd"]
    needed += {
        "uml": ["linux.uml", "mke2fs", "taskset", "insmod"],
        EMULATED: ["qemu-system-x86_64", "mke2fs", "cpio", "xz", "busybox", "depmod", "modprobe"],
    }.get(lane, ["ip"])
    absent = [name for name in needed if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (try: make packages)"
    if lane == "ns-v1" and "name=systemd" not in _hierarchies():
        return "this host has no cgroup v1 hierarchies"
    if lane == "ns-v2" and "" not in _hierarchies():
        return "this host has no cgroup v2 hierarchy"
    return None


def run(
    lane: str,
    command: Sequence[str],
    results: Path,
    *,
    timeout_seconds: float = 300,
    parameters: Sequence[str] = (),
) -> Outcome:
    """Run the command in a machine of its own; `results` is seen there as /machine.

    `parameters` are more words on the command line of an emulated kernel.
    """
    results.mkdir(parents=True, exist_ok=True)
    shutil.copy(GUEST / "run.sh", results / "run")
    (results / "command").write_text(shlex.join(command))
    (results / "directory").write_text(os.getcwd())
    for name in ("status", "output", "state"):
        (results / name).unlink(missing_ok=True)
    with (
        _starting(lane, results, parameters) as argv,
        (results / "console").open("wb") as console,
    ):
        timed_out = _wait(argv, console.fileno(), timeout_seconds)
    status = _text(results / "status").strip()
    code = TIMED_OUT if timed_out else int(status or NOT_STARTED)
    return Outcome(code, _text(results / "output"), _text(results / "console"))


def _starting(
    lane: str, results: Path, parameters: Sequence[str]
) -> contextlib.AbstractContextManager[tuple[str, ...]]:
    match lane:
        case "uml":
            return _uml(results)
        case "qemu":
            return _qemu(results, parameters)
        case _:
            return _namespaces(lane, results)


def _wait(argv: Sequence[str], console: int, timeout_seconds: float) -> bool:
    """Run the machine to its end or to the timeout's; return whether it was the timeout's."""
    # Whoever is of the machine holds the writing end: the pipe ends when all of them have.
    alive, held = os.pipe()
    # The pid namespace ends with `unshare` (--kill-child), and that with this thread: --pdeathsig.
    with os.fdopen(alive, "rb") as lifeline:
        with subprocess.Popen(
            ("setpriv", "--pdeathsig", "KILL", *argv),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            pass_fds=(held, *_inherited(argv)),
        ) as process:
            os.close(held)
            try:
                process.wait(timeout_seconds)
                timed_out = False
            except subprocess.TimeoutExpired:
                timed_out = True
            finally:
                process.kill()
        lifeline.read()
    return timed_out


@contextlib.contextmanager
def _namespaces(lane: str, results: Path) -> Iterator[tuple[str, ...]]:
    """Make cgroups below our own in every hierarchy; yield what starts a machine inside them."""
    hierarchies = _hierarchies()
    name = f"cinspect-machine-{os.getpid()}"
    cgroups = [f"{own.rstrip('/')}/{name}" for own in hierarchies.values()]
    with _janitor(cgroups):
        for cgroup in cgroups:
            os.mkdir(cgroup)
        # A cpuset takes no process before it has been given CPUs and memory nodes.
        if own := hierarchies.get("cpuset"):
            for file in ("cpuset.cpus", "cpuset.mems"):
                Path(own, name, file).write_text(Path(own, file).read_text())
        # With RT_GROUP_SCHED there is no real-time scheduling in it before it has time for that.
        if (own := hierarchies.get("cpu")) and (time := Path(own, "cpu.rt_runtime_us")).exists():
            share = min(int(time.read_text()), REAL_TIME_USEC)
            Path(own, name, time.name).write_text(str(share))
        enter = "".join(f"echo $$ > {shlex.quote(cgroup)}/cgroup.procs; " for cgroup in cgroups)
        kinds = ("mnt", "pid", "cgroup", "net", "ipc", "uts")
        script = (GUEST / "namespaces.sh", lane.removeprefix("ns-"), results)
        yield (
            *("bash", "-ec", f'{enter} exec "$@"', "bash"),
            *("unshare", "--cgroup", "--mount", "--uts", "--ipc", "--net", "--pid"),
            *("--fork", "--kill-child", "--propagation", "private"),
            *map(str, script),
            ",".join(os.readlink(f"/proc/self/ns/{kind}") for kind in kinds),
            *_binds(same_file_system=False),
        )


@contextlib.contextmanager
def _janitor(cgroups: Sequence[str]) -> Iterator[None]:
    """See to it that these cgroups are removed, even if this process is killed meanwhile."""
    with subprocess.Popen(
        (sys.executable, "-I", HERE / "janitor.py", *cgroups),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as janitor:
        try:
            yield
        finally:
            left, _ = janitor.communicate()
            if left:
                raise RuntimeError(left)


@contextlib.contextmanager
def _uml(results: Path) -> Iterator[tuple[str, ...]]:
    """Yield what starts User-Mode Linux."""
    with _disk() as disk:
        yield (
            *("unshare", "--pid", "--fork", "--kill-child"),
            # Not UML itself as pid 1: there abort() does nothing, and a guest's panic would hang.
            *("sh", "-c", f'TMPDIR={_memory_directory()} "$@"; exit $?', "sh"),
            # Each system call is a hand-over between two processes: on one CPU 4 times faster.
            *("taskset", "-c", str(max(os.sched_getaffinity(0)))),
            *("linux.uml", f"mem={UML_MEMORY_MIB}M", f"ubd0={disk}"),
            *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
            *("quiet", "loglevel=3", "con=null", "con0=null,fd:1", "ssl=null", "console=tty0"),
            *("audit=0", "lsm=yama", "systemd.show_status=0"),
            *(f"init={GUEST / 'virtual.sh'}", "machine.kind=uml"),
            f"machine.results={results.resolve()}",
            f"machine.binds={':'.join(_binds(same_file_system=True))}",
        )


@contextlib.contextmanager
def _qemu(results: Path, parameters: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield what starts Debian's kernel under QEMU, by emulation: KVM is not to be had everywhere."""
    built = kernel.make()
    words = (
        *("console=ttyS0", "quiet", "loglevel=3", "panic=-1", "oops=panic", "mitigations=off"),
        *("nokaslr", "audit=0", "no_timer_check", "tsc=reliable", "systemd.show_status=0"),
        f"machine.init={GUEST / 'virtual.sh'}",
        *("machine.kind=qemu", f"machine.modules={built / 'modules'}"),
        f"machine.binds={':'.join(_binds(same_file_system=True))}",
        *parameters,
    )
    with _disk() as disk:
        yield (
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-no-reboot", "-M", "q35", "-cpu", "max", "-m", str(QEMU_MEMORY_MIB), "-smp", "2"),
            *("-accel", "tcg,thread=multi,tb-size=1024", "-serial", "stdio"),
            *("-kernel", str(built / "vmlinux"), "-initrd", str(built / "initrd")),
            *("-append", " ".join(words)),
            *("-drive", f"file={disk},if=none,id=data,format=raw,cache=unsafe,file.locking=off"),
            *("-device", "virtio-blk-pci,drive=data"),
            # All that the host has mounted is one tree here; writing to it is refused by QEMU.
            *("-fsdev", "local,id=root,path=/,readonly=on,security_model=none,multidevs=remap"),
            *("-device", "virtio-9p-pci,fsdev=root,mount_tag=root"),
            *("-fsdev", f"local,id=results,path={results.resolve()},security_model=none"),
            *("-device", "virtio-9p-pci,fsdev=results,mount_tag=results"),
        )


@contextlib.contextmanager
def _disk() -> Iterator[str]:
    """Make a disk that lives as long as its descriptor; yield a path that names it."""
    disk = os.memfd_create("cinspect-machine-disk")
    try:
        os.truncate(disk, DISK_BYTES)
        subprocess.run(
            (
                *("mke2fs", "-q", "-F", "-t", "ext4", "-m0", "-O", "^has_journal"),
                *("-E", "lazy_itable_init=1,nodiscard", f"/proc/self/fd/{disk}"),
            ),
            check=True,
            pass_fds=(disk,),
        )
        yield f"/proc/self/fd/{disk}"
    finally:
        os.close(disk)


def _inherited(argv: Sequence[str]) -> tuple[int, ...]:
    """Return the descriptors that a machine's command line names as files."""
    return tuple(
        int(number) for word in argv for number in re.findall(r"=/proc/self/fd/(\d+)", word)
    )


def _memory_directory() -> str:
    """Return where User-Mode Linux shall keep its memory, an unlinked file."""
    space = os.statvfs("/dev/shm")
    enough = space.f_bavail * space.f_frsize > UML_MEMORY_MIB << 20
    return "/dev/shm" if enough else "/var/tmp"


def _hierarchies() -> dict[str, str]:
    """Return the directory of our own cgroup by controllers (v2: the empty string)."""
    mounted: dict[str, tuple[str, str]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ")
        kind, _, options = after.split(" ", 2)
        fields = before.split()
        if kind == "cgroup2":
            mounted.setdefault("", (fields[3], fields[4]))
        elif kind == "cgroup":
            for controller in options.split(" ")[-1].split(","):
                mounted.setdefault(controller, (fields[3], fields[4]))
    own: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        first = controllers.split(",")[0]
        if first in mounted:
            root, mountpoint = mounted[first]
            own[controllers] = f"{mountpoint}/{os.path.relpath(path, root)}".removesuffix("/.")
    return own


def _binds(*, same_file_system: bool) -> list[str]:
    """Return the directories a machine would not see, but which a test run here needs.

    /tmp and /var/tmp of a machine are its own. With namespaces, neither does it see what is
    mounted on the host's root (`same_file_system` is False).
    """
    needed = {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix), Path(os.getcwd())}
    root = os.stat("/").st_dev
    return sorted(
        str(directory)
        for directory in needed
        if directory.parts[:2] == ("/", "tmp")
        or directory.parts[:3] == ("/", "var", "tmp")
        or (not same_file_system and os.stat(directory).st_dev != root)
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command in a lane; print what it wrote; return its exit status."""
    parser = argparse.ArgumentParser(description="Run a command in a small machine.")
    parser.add_argument("lane", choices=(*LANES, EMULATED))
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args(argv)
    if reason := missing(args.lane):
        parser.error(f"{args.lane}: {reason}")
    with tempfile.TemporaryDirectory(prefix="cinspect-machine-") as results:
        outcome = run(args.lane, args.command, Path(results), timeout_seconds=args.timeout)
    sys.stdout.write(outcome.output)
    if outcome.exit_code == NOT_STARTED:
        sys.stderr.write(outcome.console)
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())
