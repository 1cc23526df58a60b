"""Engines of the tests' own, started once; whatever they leave is found and fails the run."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import requirements, traces
from tests.engines import daemons
from tests.engines.daemons import Engine


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """Return a directory with a short path (a socket's is at most 107 bytes)."""
    before = traces.all_cgroups()
    # Of mkdtemp's characters containerd refuses an underscore at the end of a namespace's name.
    path = Path(f"/var/tmp/cinspect-engines-{secrets.token_hex(4)}")
    path.mkdir(mode=0o700)
    try:
        with traces.none_left(path.name):
            yield path
            remove_parents(
                traces.all_cgroups() - before, {"docker", "buildkit", "libpod_parent", path.name}
            )
    finally:
        shutil.rmtree(path)


def remove_parents(cgroups: set[str], names: set[str]) -> None:
    """Remove what engines leave empty above their containers' cgroups, unless others use it."""
    for cgroup in sorted(cgroups, key=len, reverse=True):  # what is within goes first
        if Path(cgroup).name in names:
            with contextlib.suppress(OSError):
                os.rmdir(cgroup)


@pytest.fixture(scope="session")
def rootfs(scratch: Path) -> Path:
    requirements.commands("busybox")
    return daemons.make_rootfs(scratch)


@pytest.fixture(scope="session")
def rootfs_tar(rootfs: Path) -> Path:
    return daemons.archive(rootfs)


@pytest.fixture(scope="session")
def containerd(scratch: Path) -> Iterator[Engine]:
    requirements.commands("containerd", "ctr", "runc")
    with daemons.containerd(scratch) as engine:
        yield engine


@pytest.fixture(scope="session")
def docker(scratch: Path, containerd: Engine, rootfs_tar: Path) -> Iterator[Engine]:
    requirements.commands("dockerd", "docker")
    assert containerd.address
    with daemons.docker(scratch, containerd.address, rootfs_tar) as engine:
        yield engine


@pytest.fixture(scope="session")
def podman(scratch: Path, rootfs_tar: Path) -> Iterator[Engine]:
    requirements.commands("podman", "conmon", "runc")
    with daemons.podman(scratch, rootfs_tar) as engine:
        yield engine


@pytest.fixture(scope="session")
def containerd_image(docker: Engine, containerd: Engine) -> str:
    """Return the name of the image in containerd, put there from Docker's."""
    path = containerd.scratch / "image.tar"
    docker("save", daemons.IMAGE, "--output", str(path))
    containerd("images", "import", str(path))
    return f"docker.io/library/{daemons.IMAGE}"
