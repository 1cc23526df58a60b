"""BuildKit, Buildah and gVisor, run for real: what is told of what they run, beside their own words."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import requirements
from tests.engines import daemons
from tests.engines.daemons import Engine
from tests.engines.seen import containers

pytestmark = [pytest.mark.engine, pytest.mark.root]


@contextlib.contextmanager
def running(
    command: tuple[str, ...], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that waits for its container, until the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def killed(pids: Sequence[int]) -> Iterator[None]:
    """Kill processes at the end of the block."""
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def found(
    log: Path, fits: Callable[[Mapping[str, Any]], bool], environment: Mapping[str, str]
) -> Mapping[str, Any]:
    """Return the one container that fits, as soon as it is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        fitting = [one for one in containers(environment) if fits(one)]
        if fitting:
            assert len(fitting) == 1, fitting
            return fitting[0]
        time.sleep(0.2)
    raise AssertionError(log.read_text(errors="replace")[-2000:])


def test_a_step_of_a_build_by_buildkit_is_told_while_it_runs(
    docker: Engine, tmp_path: Path
) -> None:
    """Docker's daemon has BuildKit in it; Debian's client of 20.10 speaks with it by itself."""
    client = "/usr/bin/docker"
    requirements.commands(client)
    (tmp_path / "Dockerfile").write_text(f'FROM {daemons.IMAGE}\nRUN ["sleep", "9871"]\n')
    environment = {**os.environ, **docker.environment, "DOCKER_BUILDKIT": "1"}
    command = (
        client,
        "build",
        "--network",
        "none",
        "--no-cache",
        "--progress",
        "plain",
        str(tmp_path),
    )
    log = tmp_path / "log"
    with running(command, log, environment):
        step = found(log, lambda one: one["command"] == ["sleep", "9871"], docker.environment)
        executor = docker.scratch / "docker/buildkit/executor"
        own = [path.name for path in executor.iterdir() if path.is_dir()]
        print("buildkit", own, step["id"])  # noqa: T201 - its own word, to be seen
        assert [step["id"]] == own
    assert (step["engine"], step["runtime"], step["status"]) == ("buildkit", "runc", "running")
    assert step["rootfs"]["driver"] == "overlay"
    assert step["parent"] is None
    assert b"CANCELED" in log.read_bytes()


@pytest.fixture
def buildah(tmp_path: Path, rootfs_tar: Path) -> Iterator[tuple[str, ...]]:
    """Return buildah's command on stores of its own, with one working container of a root filesystem."""
    requirements.commands("buildah", "runc")
    base = (
        *("buildah", "--root", f"{tmp_path}/storage", "--runroot", f"{tmp_path}/run"),
        *("--storage-driver", "overlay"),
    )
    try:
        for words in (
            ("from", "--name", "working", "scratch"),
            ("add", "working", str(rootfs_tar), "/"),
        ):
            subprocess.run((*base, *words), check=True, capture_output=True, timeout=60)
        yield base
    finally:
        subprocess.run((*base, "rm", "--all"), check=False, capture_output=True, timeout=60)
        subprocess.run(("umount", f"{tmp_path}/storage/overlay"), check=False, capture_output=True)


@pytest.mark.parametrize("isolation", ["oci", "chroot"])
def test_what_buildah_runs_is_one_container_and_its_helpers_none(
    buildah: tuple[str, ...], isolation: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    words = ("run", "--runtime", "runc", "--isolation", isolation, "working", "sleep", "9872")
    with running((*buildah, *words), log):
        one = found(log, lambda one: one["command"][-1:] == ["9872"], {})
        with killed(one["pids"]):
            assert (one["engine"], one["parent"]) == ("buildah", None)
            mounted = subprocess.run(
                (*buildah, "mount", "--json"), check=True, capture_output=True
            ).stdout
            print("buildah", json.loads(mounted), one["id"], one["rootfs"]["path"])  # noqa: T201 - to be seen
            assert one["rootfs"]["path"].encode() in mounted
            assert not [
                other["command"]
                for other in containers({})
                if "buildah" in str(other["command"][:1]) and other["id"] != one["id"]
            ]


def test_a_container_of_gvisors_has_the_id_and_the_process_that_runsc_tells(
    rootfs: Path, tmp_path: Path
) -> None:
    requirements.commands("runsc")
    bundle, log = tmp_path / "bundle", tmp_path / "log"
    bundle.mkdir()
    subprocess.run(("runsc", "spec", "--", "/bin/sleep", "9873"), cwd=bundle, check=True)
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"]["terminal"] = False
    spec["root"] |= {"path": str(rootfs), "readonly": True}
    (bundle / "config.json").write_text(json.dumps(spec))
    base = (
        *("runsc", "--root", f"{tmp_path}/state", "--network", "none", "--platform", "ptrace"),
        "--ignore-cgroups",
    )
    with running((*base, "run", "--bundle", str(bundle), "shown"), log):
        try:
            one = found(log, lambda one: one["engine"] == "gvisor", {})
            said = json.loads(
                subprocess.run((*base, "state", "shown"), check=True, capture_output=True).stdout
            )
            print("runsc", said, one["id"], one["pid"])  # noqa: T201 - its own word, to be seen
            assert (one["id"], one["pid"], one["status"]) == (
                said["id"],
                said["pid"],
                said["status"],
            )
            assert one["runtime"] == "runsc"
            assert one["command"][0] == "runsc-sandbox"
        finally:
            subprocess.run((*base, "kill", "shown", "KILL"), check=False, capture_output=True)
    subprocess.run((*base, "delete", "--force", "shown"), check=False, capture_output=True)
