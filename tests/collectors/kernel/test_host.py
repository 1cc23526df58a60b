"""The host's summary, of recorded hosts and of this one."""

import os
import shutil
from pathlib import Path

import psutil
import pytest

from collectors.errors import CollectError, Missing
from collectors.kernel import host
from collectors.root import Root

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of a recorded host, to be damaged."""
    for name in ("proc", "etc"):
        shutil.copytree(FIXTURES / "v2-systemd" / name, tmp_path / name, symlinks=True)
    return tmp_path


def test_a_recorded_host_is_told_from_its_files():
    reading = host.read(Root(str(FIXTURES / "v2-systemd")))
    meminfo = (FIXTURES / "v2-systemd/proc/meminfo").read_text().split()
    assert reading.hostname == "harbour"
    assert reading.kernel == "6.1.176"
    assert reading.os == "Debian GNU/Linux 12 (bookworm)"
    assert reading.cpus == 1
    assert reading.memory_bytes == int(meminfo[1]) * 1024
    assert 0 < (reading.memory_available_bytes or 0) < reading.memory_bytes
    assert len(reading.boot_id or "") == 36
    assert 10 < reading.uptime_seconds < 100
    assert 10 < reading.cpu_busy_ticks / 100 < reading.uptime_seconds
    assert reading.problems == ()


def test_this_host_is_as_the_system_says():
    reading = host.read(Root())
    assert reading.hostname == os.uname().nodename
    assert reading.kernel == os.uname().release
    assert reading.cpus == psutil.cpu_count()
    assert reading.memory_bytes == psutil.virtual_memory().total
    assert reading.booted_at == psutil.boot_time()
    assert reading.uptime_seconds == pytest.approx(
        float(Path("/proc/uptime").read_text().split()[0]), abs=1
    )


def test_own_reading_and_psutil_agree_on_this_host(tmp_path: Path):
    """A root that leads to this host's files and is not `/` is read without psutil."""
    for name in ("proc", "etc"):
        (tmp_path / name).symlink_to(f"/{name}")
    ours, theirs = host.read(Root(str(tmp_path))), host.read(Root())
    assert ours.cpus == theirs.cpus
    assert ours.memory_bytes == theirs.memory_bytes
    assert ours.booted_at == theirs.booted_at
    assert ours.cpu_busy_ticks == pytest.approx(theirs.cpu_busy_ticks, abs=200)
    assert ours.memory_available_bytes == pytest.approx(theirs.memory_available_bytes, rel=0.05)


def test_a_mounted_hosts_name_is_in_its_file_not_in_the_readers_kernel(tree: Path):
    (tree / "etc/hostname").write_text("mounted\n")
    (tree / "proc/sys/kernel/hostname").write_text("reader\n")
    assert host.read(Root(str(tree))).hostname == "mounted"
    (tree / "etc/hostname").unlink()
    assert host.read(Root(str(tree))).hostname == "reader"


def test_a_host_without_a_distribution_has_none(tree: Path):
    (tree / "etc/os-release").unlink()
    reading = host.read(Root(str(tree)))
    assert (reading.os, reading.problems) == (None, ())


def test_a_damaged_os_release_is_a_problem(tree: Path):
    (tree / "etc/os-release").write_text('PRETTY_NAME="open\n')
    reading = host.read(Root(str(tree)))
    assert reading.os is None
    assert [(p.path, p.error) for p in reading.problems] == [("/etc/os-release", "format")]


def test_a_missing_boot_id_is_unknown_and_told(tree: Path):
    (tree / "proc/sys/kernel/random/boot_id").unlink()
    reading = host.read(Root(str(tree)))
    assert reading.boot_id is None
    assert [p.error for p in reading.problems] == ["missing"]


@pytest.mark.parametrize("name", ["stat", "meminfo", "uptime"])
def test_without_its_numbers_there_is_no_summary(tree: Path, name: str):
    (tree / "proc" / name).write_bytes(b"damaged\n")
    with pytest.raises(CollectError, match=f"/proc/{name}: parse"):
        host.read(Root(str(tree)))
    (tree / "proc" / name).unlink()
    with pytest.raises(Missing, match=f"/proc/{name}: open"):
        host.read(Root(str(tree)))
