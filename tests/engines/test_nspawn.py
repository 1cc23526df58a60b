"""systemd-nspawn's containers, which nobody registers: a command line and namespaces are enough."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import requirements, traces
from tests.command import eventually
from tests.engines import seen

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(params=("--machine=cinspect-nspawn", None))
def machine(
    request: pytest.FixtureRequest, scratch: Path, rootfs: Path
) -> Iterator[tuple[str, int]]:
    """Return a container's name, which without an option is its directory's, and its monitor."""
    requirements.commands("systemd-nspawn", "nsenter")
    (rootfs / "usr").mkdir(exist_ok=True)
    (rootfs / "etc" / "os-release").touch()
    named: str | None = request.param
    # It puts cgroups beside its own: so into ones that are the test's.
    parents = [
        Path(cgroup, scratch.name)
        for cgroup in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")
    ]
    parents = [parent for parent in parents if parent.parent.is_dir()]
    for parent in parents:
        parent.mkdir(exist_ok=True)
    enter = "".join(f"echo $$ > {parent}/cgroup.procs; " for parent in parents)
    command = (
        *("sh", "-c", f'{enter} exec "$@"', "sh"),
        *("systemd-nspawn", "--quiet", f"--directory={rootfs}", "--register=no", "--keep-unit"),
        *("--private-network", "--capability=all", "--as-pid2"),
        *((named,) if named else ()),
        *("/bin/sleep", "1000"),
    )
    environment = {
        **os.environ,
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0",
        "SYSTEMD_SECCOMP": "0",
        "SYSTEMD_NSPAWN_LOCK": "0",
    }
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment) as process:
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            eventually(children.read_text)
            yield (named.partition("=")[2] if named else rootfs.name), process.pid
        finally:
            process.kill()
    eventually(lambda: not traces.processes(str(rootfs)))
    eventually(lambda: without_cgroups(scratch.name))


def without_cgroups(name: str) -> bool:
    """Remove what nspawn leaves; tell whether all is: a cgroup is busy until its last process is gone."""
    left = [each for each in traces.cgroups(name) if Path(each).name in {"payload", "supervisor"}]
    for cgroup in left:
        with suppress(OSError):
            os.rmdir(cgroup)
    return not left


def test_the_kernel_alone_tells_its_name_and_monitor(machine: tuple[str, int]) -> None:
    name, monitor = machine
    one = eventually(lambda: next((one for one in seen.containers() if one["id"] == name), None))
    assert (one["name"], one["engine"], one["status"]) == (name, "systemd-nspawn", "running")
    assert one["shim"]["pid"] == monitor
    assert "pid" not in one["shared_with_host"]
