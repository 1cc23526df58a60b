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
    state = _state(directory)
    if state.alive():  # by its pid: it may not be in its cgroup yet
        os.kill(state.pid, signal.SIGKILL)
    cgroup = placing.cgroups(spec, container_id, state)
    if cgroup.exists():
        cgroup.kill(signal.SIGKILL)
        deadline = time.monotonic() + _EMPTY_SECONDS
        while cgroup.pids() and time.monotonic() < deadline:
            time.sleep(0.005)
    cgroup.delete()
    rootfs.unmount_all(os.path.join(directory, "rootfs"))
    return state.pid


def _state(directory: str) -> bundle.State:
    try:
        return bundle.State.load(os.path.join(directory, "state.json"))
    except (NotFound, FormatError):
        return bundle.State()
