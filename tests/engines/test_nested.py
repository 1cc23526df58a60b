"""Engines within containers: Docker in Docker, Podman in Podman, the embedded engine in itself."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests import command, requirements
from tests.engines import seen
from tests.engines.daemons import Engine
from tests.engines.test_podman import LIMITS

pytestmark = [pytest.mark.engine, pytest.mark.root]

HOSTS: Final = "cinspect-hosts:1"
"""An image of links and directories alone, upon which the host's programs are mounted."""
MERGED: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
CAPABILITIES: Final = (
    *("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "MKNOD", "DAC_READ_SEARCH"),
    *("SYS_MODULE", "IPC_LOCK", "AUDIT_WRITE"),
)
"""What an engine needs, of what a host without CAP_SYS_RESOURCE can give: `--privileged` asks for all."""
WRITABLE: Final = (
    "mkdir -p /var/tmp; for at in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts); do"
    " mount -o remount,bind,rw $at; done; "
)
"""An engine mounts a container's own cgroups for reading; within, one writes."""


@pytest.fixture(scope="module")
def hosts_tar(scratch: Path) -> Path:
    """Return a tar with what stands above the host's own programs."""
    path = scratch / "hosts.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("usr", "etc", "proc", "sys", "dev", "run", "tmp", "var", "inner"):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        for name in MERGED:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(member)
    return path


def outer_options(inner: Path) -> tuple[str, ...]:
    """Return how a container is run in which an engine runs: `inner` is where it keeps its own."""
    return (
        *(word for name in CAPABILITIES for word in ("--cap-add", name)),
        *("--security-opt", "seccomp=unconfined", "--network", "none"),
        *("--volume", "/usr:/usr:ro", "--volume", "/etc:/etc:ro"),
        *("--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/var"),
        *("--volume", f"{inner}:/inner"),
    )


@pytest.fixture(scope="module")
def docker_in_docker(
    docker: Engine, scratch: Path, hosts_tar: Path, rootfs_tar: Path
) -> Iterator[tuple[str, str, Engine]]:
    """Return an outer container, one in it, and `docker` as it speaks to the inner daemon."""
    inner = scratch / "dind"
    inner.mkdir(exist_ok=True)
    docker("import", str(hosts_tar), HOSTS)
    daemon = (
        f"{WRITABLE} exec dockerd --data-root /inner/data --exec-root /run/docker"
        " --host unix:///inner/d.sock --pidfile /run/d.pid --storage-driver overlay2"
        " --iptables=false --ip6tables=false --ip-forward=false --bridge=none"
    )
    name = "cinspect-dind"
    options = ("run", "--detach", "--name", name, *outer_options(inner))
    outer = docker(*options, HOSTS, "sh", "-c", daemon)
    host = f"unix://{inner}/d.sock"
    cli = Engine(("docker", "--host", host), {"DOCKER_HOST": host}, host, inner)
    try:
        command.eventually(lambda: _answers(docker, outer, cli), seconds=30)
        cli("import", str(rootfs_tar), "cinspect-inner:1")
        sleep = ("cinspect-inner:1", "sleep", "1000")
        yield outer, cli("run", "--detach", "--name", "within", "--network", "none", *sleep), cli
        cli("rm", "--force", "within")
    finally:
        docker("stop", "--time", "5", name)
        docker("rm", "--force", name)


def _answers(docker: Engine, outer: str, cli: Engine) -> bool:
    running = docker("inspect", "--format", "{{.State.Running}}", outer)
    assert running == "true", docker("logs", outer)
    return bool(cli("version", "--format", "{{.Server.Version}}", check=False))


def test_docker_in_docker_is_told_by_the_kernel_with_its_chain_of_parents(
    docker_in_docker: tuple[str, str, Engine],
) -> None:
    outer, inner, _ = docker_in_docker
    by_id = {one["id"]: one for one in seen.containers()}
    assert (by_id[inner]["engine"], by_id[inner]["parent"]) == ("docker", outer)
    assert by_id[outer]["parent"] is None
    assert by_id[inner]["pid"] not in by_id[outer]["pids"]
    assert by_id[inner]["shim"]["pid"] in by_id[outer]["pids"]


def test_the_inner_daemon_names_its_containers_though_it_counts_pids_otherwise(
    docker_in_docker: tuple[str, str, Engine], docker: Engine
) -> None:
    outer, inner, cli = docker_in_docker
    by_id = {one["id"]: one for one in seen.containers(cli.environment)}
    assert (by_id[inner]["name"], by_id[inner]["parent"]) == ("within", outer)
    told = cli.json("inspect", inner)[0]["State"]["Pid"]
    status = Path(f"/proc/{by_id[inner]['pid']}/status").read_text()
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
    assert numbers[2:] == [str(told), "1"]
    # Whoever has that number on the host is not taken for it.
    assert docker.json("inspect", outer)[0]["State"]["Pid"] == by_id[outer]["pid"]


@pytest.fixture
def podman_in_podman(
    podman: Engine, scratch: Path, hosts_tar: Path, rootfs_tar: Path
) -> Iterator[tuple[str, str]]:
    """Return the ids of a container and of one in it."""
    inner = scratch / "pinp"
    inner.mkdir()
    (inner / "rootfs.tar").write_bytes(rootfs_tar.read_bytes())
    podman("import", "--quiet", str(hosts_tar), HOSTS)
    tool = (
        "podman --root /inner/root --runroot /run/inner --tmpdir /run/tmp --storage-driver overlay"
        " --cgroup-manager cgroupfs --events-backend file --runtime runc"
    )
    limits = " ".join(LIMITS)
    script = (
        f"{WRITABLE} {tool} import --quiet /inner/rootfs.tar inner:1"
        f" && {tool} run --detach --name within --network none {limits} inner:1 sleep 1000"
        " > /inner/id; exec sleep 1000"
    )
    name = "cinspect-pinp"
    options = ("run", "--detach", "--name", name, *LIMITS, *outer_options(inner))
    outer = podman(*options, HOSTS, "sh", "-c", script)
    try:
        told = inner / "id"
        command.eventually(lambda: told.exists() and told.read_text(), seconds=30)
        yield outer, told.read_text().strip()
    finally:
        podman("rm", "--force", "--time", "0", name)


def test_podman_in_podman_is_told_by_the_kernel_with_its_chain_of_parents(
    podman_in_podman: tuple[str, str],
) -> None:
    outer, inner = podman_in_podman
    by_id = {one["id"]: one for one in seen.containers()}
    assert (by_id[inner]["engine"], by_id[inner]["name"]) == ("podman", "within")
    assert (by_id[inner]["parent"], by_id[outer]["parent"]) == (outer, None)
    assert by_id[inner]["shim"]["pid"] in by_id[outer]["pids"]


@pytest.fixture
def sandbox_in_docker(docker: Engine, scratch: Path, hosts_tar: Path) -> Iterator[str]:
    """Return the id of a container of Docker's in which bubblewrap makes another."""
    requirements.commands("bwrap")
    docker("import", str(hosts_tar), HOSTS)
    words = ("bwrap", "--unshare-all", "--bind", "/", "/", "--proc", "/proc", "sleep", "1000")
    options = ("run", "--detach", *outer_options(scratch))
    identifier = docker(*options, HOSTS, *words)
    try:
        yield identifier
    finally:
        docker("rm", "--force", identifier)


def test_a_sandbox_in_a_container_is_told_with_it(sandbox_in_docker: str) -> None:
    def inner() -> list[Any]:
        return [one for one in seen.containers() if one["parent"] == sandbox_in_docker]

    (one,) = command.eventually(inner)
    assert one["engine"] == "bubblewrap"
    assert one["command"] == ["sleep", "1000"]
