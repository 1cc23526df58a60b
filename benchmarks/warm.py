"""A process that stays, as a shim does: makes containers of bundles when it is told to, timing each.

Each line of its input is a job, `run BUNDLE`, `hold BUNDLE`, `exec`, `floor BUNDLE`, `drop`, or
`clean`; each line of its output is how many seconds that took. A run is over when its end is known;
`clean` takes away what is left then, as a shim does after it has told its clients.
"""

import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Callable

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from runtime import brief

brief.install()  # as a shim does

from runtime.cgroups.manager import Manager  # noqa: E402 - after the path
from runtime.formats.spec import Spec  # noqa: E402 - after the path
from runtime.init import launcher, namespaces, spare  # noqa: E402 - after the path
from runtime.linux import constants, syscalls  # noqa: E402 - after the path
from runtime.oci import config  # noqa: E402 - after the path
from runtime.shim.bundle import read_json  # noqa: E402 - after the path

STREAMS = (0, 2, 2)  # what the command writes is not to be among the answers
left: list[Manager] = []
held: list[tuple[Spec, Manager, launcher.Launched]] = []


def make(bundle: str) -> tuple[Spec, Manager, launcher.Launched]:
    """Make a container of a bundle and start it."""
    spec = read_json(f"{bundle}/config.json")
    config.check(spec)
    cgroup = Manager(spec["linux"]["cgroupsPath"])
    rootfs = os.path.join(bundle, spec["root"]["path"])
    with launcher.ahead(spec, rootfs=rootfs, cgroup=cgroup) as create:
        cgroup.create(spec["linux"]["resources"])
        try:
            launched = create(cgroup, STREAMS)
            launched.start()
        except BaseException:
            cgroup.delete()
            raise
    return spec, cgroup, launched


def wait(pidfd: int) -> None:
    """Reap a child that must end well."""
    result = os.waitid(constants.P_PIDFD, pidfd, os.WEXITED)
    assert result
    assert not result.si_status, result


def run(bundle: str) -> None:
    """From a bundle to a process that has ended."""
    _, cgroup, launched = make(bundle)
    wait(launched.pidfd)
    launched.close()
    left.append(cgroup)


def clean(_: str) -> None:
    """Remove the cgroups of what was run."""
    left.pop().delete()
    spare.keep()


def hold(bundle: str) -> None:
    """Make the container that `execute` executes in."""
    held.append(make(bundle))


def execute(_: str) -> None:
    """Run `true` in the held container."""
    spec, cgroup, init = held[-1]
    process = {**spec["process"], "args": ["true"]}
    launched = launcher.exec_process(
        process, spec, init_pid=init.pid, init_pidfd=init.pidfd, cgroup=cgroup, stdio=STREAMS
    )
    wait(launched.pidfd)
    launched.close()


def drop(_: str) -> None:
    """End the held container."""
    _, cgroup, init = held.pop()
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(init.pidfd, signal.SIGKILL)
    os.waitid(constants.P_PIDFD, init.pidfd, os.WEXITED)
    init.close()
    cgroup.delete()


def floor(bundle: str) -> None:
    """Clone into the namespaces and execute `true`: no cgroup, no mount, nothing checked."""
    spec = read_json(f"{bundle}/config.json")
    flags = namespaces.of(spec).clone_flags
    cloned = syscalls.clone3(flags, exit_signal=signal.SIGCHLD)
    if not cloned.pid:
        os.chroot(os.path.join(bundle, spec["root"]["path"]))
        os.execv("/bin/true", ["true"])
    wait(cloned.pidfd)
    os.close(cloned.pidfd)


JOBS: dict[str, Callable[[str], None]] = {
    "run": run,
    "clean": clean,
    "hold": hold,
    "exec": execute,
    "drop": drop,
    "floor": floor,
}


def main() -> None:
    """Serve standard input."""
    gc.collect()
    gc.freeze()
    spare.keep()
    for line in sys.stdin:
        job, _, argument = line.strip().partition(" ")
        started = time.perf_counter()
        JOBS[job](argument)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
