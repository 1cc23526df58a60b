"""Takes down what a container left when there is no shim to do it."""

from __future__ import annotations

import os
import signal
import time

from runtime.errors import FormatError, NotFound
from runtime.shim import bundle, placing, rootfs

_EMPTY_SECONDS = 5


def clean(directory: str, container_id: str) -> int:
    """Kill the container's processes, remove its cgroups, unmount its root; return the init's pid.

    `directory` is the bundle; one that is not there, or half written, means the default cgroup. What
    is not there is no error.
    """
    try:
        spec = bundle.read_json(os.path.join(directory, "config.json"))
    except (NotFound, FormatError):
        spec = {}
    pid, made_at = _init(directory)
    cgroup = placing.cgroups(spec, container_id, made_at=made_at)
    if cgroup.exists():
        cgroup.kill(signal.SIGKILL)
        deadline = time.monotonic() + _EMPTY_SECONDS
        while cgroup.pids() and time.monotonic() < deadline:
            time.sleep(0.005)
    cgroup.delete()
    rootfs.unmount_all(os.path.join(directory, "rootfs"))
    return pid


def _init(directory: str) -> tuple[int, str | None]:
    """Kill the init by its pid if it is still that one: it may not be in its cgroup yet.

    Returns the pid, and where its cgroups were made.
    """
    try:
        state = bundle.State.load(os.path.join(directory, "state.json"))
    except (NotFound, FormatError):
        return 0, None
    if state.alive():
        os.kill(state.pid, signal.SIGKILL)
    return int(state.pid), state.cgroup
