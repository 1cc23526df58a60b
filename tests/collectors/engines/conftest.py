"""The engines that the adapters are tested against: real ones, started for the tests alone."""

import subprocess

import pytest

from tests import requirements, traces
from tests.engines import daemons
from tests.engines.conftest import (
    containerd,
    containerd_image,
    docker,
    rootfs,
    rootfs_tar,
    scratch,
)

__all__ = ("containerd", "containerd_image", "docker", "rootfs", "rootfs_tar", "scratch")


@pytest.fixture(scope="session")
def podman(scratch, rootfs_tar):
    requirements.commands("podman", "conmon", "runc")
    with daemons.podman(scratch, rootfs_tar) as engine:
        yield engine
    # Podman mounts its own directory of layers upon itself, for good.
    for mountpoint in traces.mounts(f"{scratch}/podman"):
        subprocess.run(["umount", mountpoint], check=True)
