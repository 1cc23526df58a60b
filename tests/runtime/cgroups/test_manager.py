"""A container's cgroups, really: limits, freezing, killing, running out of memory, removal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cgroups.manager import Manager
from runtime.errors import FailedPrecondition, InvalidArgument, RuntimeFailure
from tests import requirements

pytestmark = pytest.mark.root
MEBIBYTE = 1 << 20


@pytest.fixture
def manager():
    made = Manager(f"/cinspect-test-{os.getpid()}/manager")
    yield made
    made.delete()


def need(manager: Manager, controller: str) -> Path:
    """Return the cgroup's directory for a controller, or skip."""
    directory = manager.directory(controller)
    if directory is None:
        requirements.absent_here(f"this host has no {controller} controller")
    return Path(directory)


def made(manager: Manager, controller: str, resources: dict) -> Path:
    directory = need(manager, controller)
    try:
        manager.create(resources)
    except FailedPrecondition as error:
        if "cannot be enabled" in str(error):
            requirements.absent_here(str(error))
        raise
    return directory


def either(directory: Path, *names: str) -> str:
    """Return what the first file that is there says: v1's and v2's names."""
    return next(path for name in names if (path := directory / name).exists()).read_text().strip()


def test_it_is_made_in_every_hierarchy_and_removed_from_every_one(manager: Manager):
    manager.create({})
    directories = [Path(each) for each in manager.directories().values()]
    assert all(each.is_dir() for each in directories)
    assert manager.exists()
    manager.delete()
    assert not any(each.exists() for each in directories)
    assert not any(each.parent.exists() for each in directories)
    assert not manager.exists()


def test_removing_it_again_is_nothing(manager: Manager):
    manager.delete()
    manager.delete()


def test_memory_is_limited_and_the_limit_can_go_up_and_down(manager: Manager):
    files = ("memory.limit_in_bytes", "memory.max")
    directory = made(
        manager, "memory", {"memory": {"limit": 64 * MEBIBYTE, "swap": 128 * MEBIBYTE}}
    )
    for size in (512, 32, 256):
        manager.update({"memory": {"limit": size * MEBIBYTE, "swap": 2 * size * MEBIBYTE}})
        assert int(either(directory, *files)) == size * MEBIBYTE
    assert manager.stats()["memory"]["limit_bytes"] == 256 * MEBIBYTE


def test_an_update_leaves_alone_what_it_does_not_name(manager: Manager):
    directory = made(manager, "pids", {"pids": {"limit": 77}})
    manager.update({"cpu": {}})
    assert (directory / "pids.max").read_text() == "77\n"
    manager.update({"pids": {"limit": -1}})
    assert (directory / "pids.max").read_text() == "max\n"
    assert manager.stats()["pids"] == {"current": 0, "limit": -1}


def test_cpu_time_is_limited(manager: Manager):
    directory = made(manager, "cpu", {"cpu": {"quota": 50000, "period": 100000, "shares": 1024}})
    if (directory / "cpu.max").exists():
        assert (directory / "cpu.max").read_text() == "50000 100000\n"
        assert (directory / "cpu.weight").read_text() == "100\n"
    else:
        assert (directory / "cpu.cfs_quota_us").read_text() == "50000\n"
        assert (directory / "cpu.shares").read_text() == "1024\n"


def test_cpus_are_limited(manager: Manager):
    directory = made(manager, "cpuset", {"cpu": {"cpus": "0"}})
    assert (directory / "cpuset.cpus").read_text() == "0\n"


def test_without_a_cpuset_asked_for_processes_can_enter_all_the_same(manager: Manager):
    directory = made(manager, "cpuset", {})
    if (directory / "tasks").exists():  # v2 inherits by itself
        assert (directory / "cpuset.cpus").read_text().strip()
        assert (directory / "cpuset.mems").read_text().strip()


def test_huge_pages_are_limited_even_where_only_v2_has_the_controller(manager: Manager):
    directory = made(manager, "hugetlb", {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]})
    assert either(directory, "hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes") == "0"


@pytest.mark.parametrize(
    "resources",
    [
        {"cpu": {"cpus": "9999"}},
        {"cpu": {"quota": 5}},
        {"pids": {"limit": 1 << 62}},
        {"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]},
        {"unified": {"../escape": "1"}},
        {"unified": {"cgroup.procs": "nonsense"}},
    ],
)
def test_a_limit_that_cannot_be_is_refused_and_leaves_nothing(manager: Manager, resources: dict):
    with pytest.raises(RuntimeFailure):
        manager.create(resources)
    assert not manager.exists()
    assert not any(Path(each).parent.exists() for each in manager.directories().values())


@pytest.mark.parametrize("path", ["relative", "/", "//", "/a/../b", "/a/./b"])
def test_a_path_that_is_no_cgroup_s_is_refused(path: str):
    with pytest.raises(InvalidArgument):
        Manager(path)


def test_freezing_a_cgroup_that_is_not_there_is_refused(manager: Manager):
    with pytest.raises(FailedPrecondition, match="no such cgroup"):
        manager.freeze()
    assert not manager.frozen()
    assert manager.pids() == []
    assert manager.stats() is not None


def test_a_foreign_cgroup_beside_it_stays(manager: Manager):
    manager.create({})
    beside = [Path(each).parent / "beside" for each in manager.directories().values()]
    for each in beside:
        each.mkdir()
    try:
        manager.delete()
        assert all(each.is_dir() for each in beside)
    finally:
        for each in beside:
            each.rmdir()


def test_a_cgroup_that_may_not_be_made_is_named():
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from runtime.cgroups.manager import Manager\n"
        "from runtime.errors import PermissionDenied\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "try:\n    Manager('/cinspect-test-nobody/x').create({})\n"
        "except PermissionDenied as error:\n    print(error)\n"
    )
    repository = str(Path(__file__).parents[3])
    line = [sys.executable, "-I", "-S", "-c", script, repository]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert "cinspect-test-nobody: cannot make the cgroup: Permission denied" in done.stdout, (
        done.stderr
    )
