"""`cinspect cp` into a stopped container of the embedded engine: what it finds when it is started again."""

import os
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests import requirements
from tests.inspector.cli_engine.conftest import cinspect as cinspect  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.root

PAST = """
    mkdir /srv/there; echo old > /srv/file; ln -s /srv/there /srv/link; ln -s /../../../srv/there /srv/up
    ln -s /proc/1/root/srv /srv/magic; chmod 750 /srv/there
"""


@pytest.fixture
def stopped(cinspect, tmp_path):
    """Return the command, and a container `box` that ran once and ended, with two volumes."""
    for name in ("volume", "locked"):
        (tmp_path / name).mkdir()
    script = f"test -e /srv/file && exec cat /srv/there/new; {PAST}"
    cinspect.ok(
        *("run", "--name", "box", "--volume", f"{tmp_path}/volume:/mnt"),
        *("--volume", f"{tmp_path}/locked:/media:ro", "@host", "sh", "-ec", script),
    )
    while overlays(cinspect):  # its shim is about to unmount it
        time.sleep(0.02)
    return cinspect


@pytest.fixture
def source(tmp_path):
    """Return a file of somebody's who is not root."""
    path = tmp_path / "new"
    path.write_text("from the host\n")
    path.chmod(0o640)
    os.chown(path, 1234, 1234)
    return path


def upper(cinspect, path):
    (found,) = cinspect.root.glob(f"snapshots/*/fs/{path}")
    return found


def overlays(cinspect):
    return [
        line
        for line in Path("/proc/self/mountinfo").read_text().split("\n")
        if str(cinspect.root) in line
    ]


def test_a_file_copied_in_is_there_when_the_container_starts_again(stopped, source):
    stopped.ok("cp", str(source), "box:/srv/link/")
    assert not overlays(stopped)
    status = upper(stopped, "srv/there/new").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 0, 0o640)
    assert stat.S_IMODE(upper(stopped, "srv/there").stat().st_mode) == 0o750
    stopped.ok("start", "box")
    assert stopped.ok("wait", "box").strip() == "0"
    assert stopped.ok("logs", "box") == "from the host\n"
    assert '"cp"' in (stopped.root / "actions.ndjson").read_text()


def test_links_of_the_container_lead_nowhere_out_of_it(stopped, source):
    name = f"cinspect-{os.getpid()}"
    stopped.ok("cp", str(source), f"box:/srv/up/{name}")
    assert upper(stopped, f"srv/there/{name}").read_text() == "from the host\n"
    assert stopped.run("cp", str(source), f"box:/srv/magic/{name}").returncode == 1
    assert not [path for path in ("/srv/there", f"/srv/{name}") if os.path.lexists(path)]


def test_a_file_replaces_another_one_whole_and_a_failure_leaves_the_old_one(stopped, source):
    refused = stopped.run("cp", f"{source.parent}/volume", "box:/srv/file")
    assert refused.returncode == 1
    assert b"no directory" in refused.stderr
    torn = stopped.run("cp", "-", "box:/srv", stdin=b"no tar")
    assert torn.returncode == 1
    assert upper(stopped, "srv/file").read_text() == "old\n"
    stopped.ok("cp", str(source), "box:/srv/file")
    assert upper(stopped, "srv/file").read_text() == "from the host\n"
    assert sorted(os.listdir(upper(stopped, "srv"))) == ["file", "link", "magic", "there", "up"]


def test_a_volume_gets_what_is_copied_into_it_and_the_layer_below_it_nothing(stopped, source):
    stopped.ok("cp", str(source), "box:/mnt/copied")
    assert (source.parent / "volume/copied").read_text() == "from the host\n"
    assert not list(stopped.root.glob("snapshots/*/fs/mnt/copied"))


@pytest.mark.parametrize("to", ["/media/copied", "/proc/copied", "/dev/shm/copied", "/sys/copied"])
def test_what_the_container_would_not_see_is_refused(stopped, source, to):
    refused = stopped.run("cp", str(source), f"box:{to}")
    assert refused.returncode == 1
    assert b"Read-only" in refused.stderr or b"No such file" in refused.stderr
    assert not list(stopped.root.glob(f"snapshots/*/fs/{to}"))
    assert not (source.parent / "locked/copied").exists()


def test_a_tar_stream_goes_in_with_its_ids(stopped, source):
    packed = subprocess.run(
        ["tar", "c", "--owner", "12", "--group", "34", "-C", source.parent, "new"],
        check=True,
        capture_output=True,
    )
    done = stopped.run("cp", "-", "box:/srv/there", stdin=packed.stdout)
    assert done.returncode == 0, done.stderr
    status = upper(stopped, "srv/there/new").stat()
    assert (status.st_uid, status.st_gid) == (12, 34)


def test_it_cannot_be_started_while_it_is_written_to(stopped, source):
    """The stream is held open; the start waits, and then finds what was written."""
    packed = subprocess.run(
        ["tar", "c", "-C", source.parent, "new"], check=True, capture_output=True
    ).stdout
    writing = stopped.start("cp", "-", "box:/srv/there", stdin=subprocess.PIPE)
    while not _opened(writing.pid, "overlay"):
        assert writing.poll() is None
    starting = threading.Thread(target=stopped.run, args=("start", "box"))
    starting.start()
    starting.join(2)
    assert "Exited" in stopped.ok("ps", "-a")
    writing.communicate(packed, timeout=60)
    assert writing.returncode == 0
    starting.join(60)
    stopped.ok("wait", "box")
    assert stopped.ok("logs", "box") == "from the host\n"


def test_one_that_is_killed_while_it_writes_leaves_no_mount_and_no_lock(stopped, source):
    writing = stopped.start("cp", "-", "box:/srv/there", stdin=subprocess.PIPE)
    while not _opened(writing.pid, "overlay"):
        assert writing.poll() is None
    writing.kill()
    writing.communicate()
    assert not overlays(stopped)
    stopped.ok("cp", str(source), "box:/srv/there/")
    stopped.ok("start", "box")
    stopped.ok("wait", "box")


def test_one_with_a_user_namespace_is_refused_with_the_reason(cinspect, source):
    done = cinspect.run("run", "--name", "mapped", "--userns", "auto", "@host", "true")
    if done.returncode:
        requirements.lacking(done.stderr.decode())
    refused = cinspect.run("cp", str(source), "mapped:/srv/")
    assert refused.returncode == 1
    assert b"user namespace" in refused.stderr


def _opened(pid, fstype):
    """Whether a process has a directory of such a filesystem open that is mounted nowhere else."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for name in names:
        try:
            info = Path(f"/proc/{pid}/fdinfo/{name}").read_text()
            mount = next(line.split()[1] for line in info.split("\n") if line.startswith("mnt_id"))
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except (OSError, StopIteration):
            continue
        known = [line.split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        if target == "/" and mount not in known:
            return True
    return False
