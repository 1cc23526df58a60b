"""Starts real engines for the tests alone: private daemons on a directory of their own."""

import contextlib
import json
import secrets
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

IMAGE: Final = "cinspect-test:1"
SILENT: Final[Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
APPLETS: Final = (
    "sh",
    "sleep",
    "cat",
    "echo",
    "rm",
    "mkdir",
    "dd",
    "head",
    "tail",
    "true",
    "id",
    "ls",
)


@dataclass(frozen=True)
class Engine:
    """An engine's command line, and how cinspect is told where its socket is."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    address: str | None = None
    scratch: Path = Path()

    def __call__(self, *arguments: str, check: bool = True) -> str:
        """Run one of its commands; return what it printed, without the last newline."""
        done = subprocess.run(
            (*self.command, *arguments),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.removesuffix("\n")

    def json(self, *arguments: str) -> Any:
        """Run one of its commands that prints JSON; return it decoded."""
        return json.loads(self(*arguments))


def make_rootfs(directory: Path) -> Path:
    """Make a root directory with a static busybox in it; return it."""
    rootfs = directory / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp"):
        (rootfs / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox
    shutil.copy(busybox, rootfs / "bin" / "busybox")
    for applet in APPLETS:
        (rootfs / "bin" / applet).symlink_to("busybox")
    (rootfs / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    return rootfs


def archive(rootfs: Path) -> Path:
    """Return a tar of the root directory, beside it."""
    path = rootfs.with_suffix(".tar")
    with tarfile.open(path, "w") as tar:
        tar.add(rootfs, arcname=".")
    return path


@contextlib.contextmanager
def containerd(scratch: Path) -> Iterator[Engine]:
    """Run a containerd without CRI; yield `ctr` in a namespace of the tests' own."""
    address = str(scratch / "containerd.sock")
    configuration = scratch / "containerd.toml"
    configuration.write_text(
        f"""
        version = 2
        root = "{scratch}/containerd"
        state = "{scratch}/containerd-state"
        disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
        [grpc]
        address = "{address}"
        """
    )
    command = ("containerd", "--config", str(configuration))
    ctr = Engine(
        ("ctr", "--address", address, "--namespace", scratch.name),
        {"CONTAINERD_ADDRESS": address},
        address,
        scratch,
    )
    with daemon(command, scratch, lambda: ctr("version")):
        try:
            yield ctr
        finally:
            for container in ctr("containers", "ls", "--quiet").split():
                ctr("tasks", "rm", "--force", container, check=False)
                ctr("containers", "rm", container)
    # Where the shim has runc keep its state, whichever containerd started it.
    shutil.rmtree(f"/run/containerd/runc/{scratch.name}", ignore_errors=True)


@contextlib.contextmanager
def docker_on(
    runtime: str, name: str, scratch: Path, containerd: Engine, rootfs_tar: Path, *options: str
) -> Iterator[Engine]:
    """Run a dockerd without a network whose default runtime is this one; yield `docker`, with the image."""
    assert containerd.address
    place = scratch / name
    place.mkdir()
    socket = f"unix://{place}/docker.sock"
    namespaces = (f"{scratch.name}-{name}", f"{scratch.name}-{name}-plugins")
    command = (
        *("dockerd", "--data-root", f"{place}/docker", "--exec-root", f"{place}/docker-exec"),
        *("--host", socket, "--pidfile", f"{place}/docker.pid"),
        *("--containerd", containerd.address, "--containerd-namespace", namespaces[0]),
        *("--containerd-plugins-namespace", namespaces[1]),
        *("--iptables=false", "--ip6tables=false", "--bridge=none"),
        *("--add-runtime", f"ours={runtime}", "--default-runtime", "ours", *options),
    )
    cli = Engine(("docker", "--host", socket), {"DOCKER_HOST": socket}, socket, place)
    with daemon(command, place, lambda: cli("version")):
        cli("import", str(rootfs_tar), IMAGE)
        try:
            yield cli
        finally:
            if ids := cli("ps", "--all", "--quiet").split():
                cli("rm", "--force", *ids)
    for namespace in namespaces:
        shutil.rmtree(f"/run/containerd/runc/{namespace}", ignore_errors=True)


@contextlib.contextmanager
def docker(scratch: Path, containerd_address: str, rootfs_tar: Path) -> Iterator[Engine]:
    """Run a dockerd upon that containerd, on a bridge of its own; yield `docker` with the image in it.

    Who publishes a port has docker-proxy listen for it: no rule of the host's firewall is touched.
    """
    name = f"cnb{secrets.token_hex(4)}"
    socket = f"unix://{scratch}/docker.sock"
    command = (
        *("dockerd", "--data-root", f"{scratch}/docker", "--exec-root", f"{scratch}/docker-exec"),
        *("--host", socket, "--pidfile", f"{scratch}/docker.pid"),
        *("--containerd", containerd_address),
        *("--iptables=false", "--ip6tables=false", f"--bridge={name}"),
        *("--ip-forward=false", "--ip-masq=false"),
    )
    cli = Engine(("docker", "--host", socket), {"DOCKER_HOST": socket}, socket, scratch)
    with bridge(name), daemon(command, scratch, lambda: cli("version")):
        cli("import", str(rootfs_tar), IMAGE)
        try:
            yield cli
        finally:
            if ids := cli("ps", "--all", "--quiet").split():
                cli("rm", "--force", *ids)
    # What names the host's network for containers that share it stays mounted.
    subprocess.run(("umount", f"{scratch}/docker-exec/netns/default"), check=False, **SILENT)


@contextlib.contextmanager
def bridge(name: str) -> Iterator[None]:
    """Make a bridge with a network behind it that nobody routes to, and remove it at the end."""
    subprocess.run(("ip", "link", "add", name, "type", "bridge"), check=True)
    try:
        for words in (
            ("address", "add", "192.0.2.1/28", "dev", name),  # TEST-NET-1: nobody's (RFC 5737)
            ("link", "set", name, "up"),
        ):
            subprocess.run(("ip", *words), check=True)
        yield
    finally:
        subprocess.run(("ip", "link", "delete", name), check=True)


@contextlib.contextmanager
def podman(scratch: Path, rootfs_tar: Path) -> Iterator[Engine]:
    """Yield `podman` on stores of its own with the image in it, and its service's socket."""
    socket = f"unix://{scratch}/podman.sock"
    command = (
        *("podman", "--root", f"{scratch}/podman", "--runroot", f"{scratch}/podman-run"),
        *("--tmpdir", f"{scratch}/podman-tmp", "--cgroup-manager", "cgroupfs"),
        *("--events-backend", "file", "--storage-driver", "overlay", "--runtime", "runc"),
    )
    cli = Engine(command, {"CONTAINER_HOST": socket}, socket, scratch)
    cli("import", "--quiet", str(rootfs_tar), IMAGE)
    service = (*command, "system", "service", "--time", "0", socket)
    with daemon(service, scratch, (scratch / "podman.sock").exists):
        try:
            yield cli
        finally:
            if ids := cli("ps", "--all", "--quiet").split():
                cli("rm", "--force", "--time", "0", *ids)


@contextlib.contextmanager
def daemon(command: Sequence[str], scratch: Path, answers: Callable[[], object]) -> Iterator[None]:
    """Run a daemon until the end of the block; its log is kept in case it does not answer."""
    log = scratch / f"{command[0]}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            _await(answers, process, log)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(answers: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(AssertionError):
            if answers() is not False:
                return
        running = process.poll() is None and time.monotonic() < deadline
        assert running, log.read_text(errors="replace")[-3000:]
        time.sleep(0.05)
