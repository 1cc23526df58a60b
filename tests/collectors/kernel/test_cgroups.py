"""Cgroups: recorded hosts of version 1, 2 and both, seen from inside containers, and files that fail."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from collectors import root as root_module
from collectors.cgroupfs import hierarchies
from collectors.cgroupfs.group import Group
from collectors.cgroupfs.records import Hierarchy
from collectors.errors import Gone, Missing, Problems
from collectors.kernel import cgroups
from collectors.kernel.cgroups import Cgroup, CgroupsReading, Cpu, IoDevice, Memory, Pids
from collectors.root import Root

FIXTURES = Path(__file__).parents[2] / "fixtures"
MIB = 1 << 20


def recorded(name: str) -> CgroupsReading:
    return cgroups.read(Root(str(FIXTURES / name)))


def by_path(reading: CgroupsReading, hierarchy: str = "") -> dict[str, Cgroup]:
    return {group.path: group for group in reading.cgroups if group.hierarchy == hierarchy}


def container_id(fixture: str, name: str) -> str:
    """Return the id that Docker gave to a container of a recorded host, as the paths have it."""
    for line in (FIXTURES / fixture / "docker-stats.jsonl").read_text().splitlines():
        stats = json.loads(line)
        if stats["Name"] == name:
            short: str = stats["ID"]
            (path,) = {
                path.name.removeprefix("docker-").removesuffix(".scope")
                for path in (FIXTURES / fixture / "sys/fs/cgroup").rglob(f"*{short}*")
            }
            return path
    raise LookupError(name)


def v2_group(name: str) -> Cgroup:
    path = f"/system.slice/docker-{container_id('v2-systemd', name)}.scope"
    return by_path(recorded("v2-systemd"))[path]


def v1_groups(name: str, fixture: str = "v1-docker") -> dict[str, Cgroup]:
    path = f"/docker/{container_id(fixture, name)}"
    return {group.hierarchy: group for group in recorded(fixture).cgroups if group.path == path}


def size(text: str) -> float:
    """Return the bytes of what Docker prints, `720KiB`."""
    units = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    number, unit = text[:-3], text[-3:]
    return float(number) * units[unit]


def test_version_2_alone_is_unified_with_the_roots_controllers():
    reading = recorded("v2-systemd")
    assert reading.mode == "unified"
    controllers = ("cpu", "io", "memory", "pids")
    assert reading.hierarchies == (Hierarchy(2, "/sys/fs/cgroup", controllers, "/"),)
    assert reading.problems == ()
    assert reading.device_names == {"98:0": "ubda"}


def test_the_root_of_version_2_leaves_out_what_it_has_no_file_for():
    root = by_path(recorded("v2-systemd"))["/"]
    assert (root.populated, root.frozen, root.pids, root.pressure) == (None, None, None, None)
    assert root.cpu is not None
    assert root.memory is not None
    assert root.cpu.usage_usec is not None
    assert root.memory.current_bytes is None
    assert root.memory.anon_bytes is not None


def test_every_field_of_a_limited_and_busy_group_of_version_2():
    web = v2_group("web")
    assert web.controllers == ("cpu", "io", "memory", "pids")
    assert (web.populated, web.frozen, web.processes) == (True, False, 2)
    assert web.cpu is not None
    assert (web.cpu.quota_usec, web.cpu.period_usec, web.cpu.weight) == (25000, 100000, 100)
    assert web.cpu.usage_usec == (web.cpu.user_usec or 0) + (web.cpu.system_usec or 0)
    assert 0 < (web.cpu.throttled_periods or 0) <= (web.cpu.periods or 0)
    assert (web.cpu.throttled_usec or 0) > 1_000_000
    assert web.memory is not None
    assert (web.memory.limit_bytes, web.memory.high_bytes) == (64 * MIB, None)
    assert web.memory.swap_limit_bytes == 64 * MIB
    assert web.memory.oom_kills == 0
    assert web.io == (IoDevice("98:0", 0, 8 * MIB, 0, web.io[0].write_ops if web.io else 0),)
    assert web.pids == Pids(2, 50)


@pytest.mark.parametrize("name", ["web", "oom", "still"])
def test_memory_less_inactive_file_is_what_docker_showed(name: str):
    lines = (FIXTURES / "v2-systemd/docker-stats.jsonl").read_text().splitlines()
    stats = next(entry for entry in map(json.loads, lines) if entry["Name"] == name)
    memory = v2_group(name).memory
    assert memory is not None
    working_set = (memory.current_bytes or 0) - (memory.inactive_file_bytes or 0)
    assert working_set == pytest.approx(size(stats["MemUsage"].split(" / ")[0]), rel=0.05)


def test_a_kill_for_lack_of_memory_is_counted():
    memory = v2_group("oom").memory
    assert memory is not None
    assert (memory.limit_bytes, memory.peak_bytes, memory.oom_kills) == (16 * MIB, 16 * MIB, 1)
    assert memory.events["oom_kill"] == 1
    assert memory.events["max"] > 0


def test_a_paused_container_is_frozen():
    assert v2_group("still").frozen is True
    assert v1_groups("still")["freezer"].frozen is True
    assert v1_groups("web")["freezer"].frozen is False


def test_every_field_of_a_limited_and_busy_group_of_version_1():
    web = v1_groups("web")
    assert set(web) >= {"name=systemd", "freezer", "cpu,cpuacct", "pids", "memory", "blkio"}
    cpu = web["cpu,cpuacct"].cpu
    assert cpu is not None
    assert (cpu.quota_usec, cpu.period_usec, cpu.shares, cpu.weight) == (25000, 100000, 1024, None)
    assert 1_000_000 < (cpu.usage_usec or 0) < 100_000_000
    assert cpu.usage_usec == pytest.approx((cpu.user_usec or 0) + (cpu.system_usec or 0), abs=20000)
    assert 0 < (cpu.throttled_periods or 0) <= (cpu.periods or 0)
    assert 1_000_000 < (cpu.throttled_usec or 0) < 100_000_000
    memory = web["memory"].memory
    assert memory is not None
    assert (memory.limit_bytes, memory.swap_limit_bytes) == (64 * MIB, 64 * MIB)
    assert (memory.file_bytes or 0) > 8 * MIB
    assert web["pids"].pids == Pids(2, 50)
    assert web["pids"].controllers == ("pids",)
    assert {group.processes for group in web.values()} == {2}
    assert {group.populated for group in web.values()} == {None}


@pytest.mark.parametrize("name", ["web", "oom", "still"])
def test_memory_of_version_1_less_inactive_file_is_what_docker_showed(name: str):
    lines = (FIXTURES / "v1-docker/docker-stats.jsonl").read_text().splitlines()
    stats = next(entry for entry in map(json.loads, lines) if entry["Name"] == name)
    memory = v1_groups(name)["memory"].memory
    assert memory is not None
    working_set = (memory.current_bytes or 0) - (memory.inactive_file_bytes or 0)
    assert working_set == pytest.approx(size(stats["MemUsage"].split(" / ")[0]), rel=0.05)


def test_no_limit_is_none_in_version_1_too():
    still = v1_groups("still")
    assert still["memory"].memory is not None
    assert still["memory"].memory.limit_bytes is None
    assert still["memory"].memory.swap_limit_bytes is None
    assert still["cpu,cpuacct"].cpu is not None
    assert still["cpu,cpuacct"].cpu.quota_usec is None
    assert still["pids"].pids == Pids(1, None)


def test_version_1_counts_kills_and_failures():
    memory = v1_groups("oom")["memory"].memory
    assert memory is not None
    assert memory.oom_kills == 1
    assert memory.events["failcnt"] > 0


def test_hierarchies_of_version_1_are_named_as_processes_name_them():
    lines = (FIXTURES / "v1-docker/proc/1/cgroup").read_text().splitlines()
    named = {line.split(":")[1] for line in lines}
    reading = recorded("v1-docker")
    assert reading.mode == "v1"
    assert {",".join(hierarchy.controllers) for hierarchy in reading.hierarchies} <= named
    assert ("cpu", "cpuacct") in {hierarchy.controllers for hierarchy in reading.hierarchies}


def test_a_hybrid_host_has_version_1s_controllers_and_version_2s_tree():
    reading = recorded("hybrid-docker")
    assert reading.mode == "hybrid"
    assert reading.hierarchies[-1] == Hierarchy(2, "/sys/fs/cgroup/unified", (), "/")
    web = v1_groups("web", "hybrid-docker")
    assert {"memory", "cpu,cpuacct", "pids", ""} <= set(web)
    assert web[""].populated is True
    assert web[""].memory is None
    assert web[""].cpu is not None
    assert web["memory"].memory is not None
    assert web["memory"].memory.limit_bytes == 64 * MIB


def test_within_a_container_only_a_part_of_each_hierarchy_is_mounted():
    reading = recorded("nested-v1")
    (own,) = {hierarchy.root for hierarchy in reading.hierarchies}
    assert own.startswith("/docker/")
    assert f":memory:{own}" in (FIXTURES / "nested-v1/proc/1/cgroup").read_text()
    memory = by_path(reading, "memory")["/"].memory
    assert memory is not None
    assert memory.limit_bytes == 256 * MIB


def test_within_a_cgroup_namespace_the_containers_own_is_the_root():
    reading = recorded("nested-v2")
    assert [hierarchy.root for hierarchy in reading.hierarchies] == ["/"]
    memory = by_path(reading)["/"].memory
    assert memory is not None
    assert memory.limit_bytes == 256 * MIB


@pytest.mark.parametrize(
    "name", ["v1-docker", "hybrid-docker", "v2-systemd", "nested-v1", "nested-v2"]
)
def test_each_cgroup_comes_once_and_after_its_parent(name: str):
    seen: set[tuple[str, str]] = set()
    for group in recorded(name).cgroups:
        assert (group.hierarchy, group.path) not in seen
        if group.path != "/":
            parent = group.path.rpartition("/")[0] or "/"
            assert (group.hierarchy, parent) in seen
        seen.add((group.hierarchy, group.path))


def test_a_file_is_read_once_and_none_in_vain():
    root = Root(str(FIXTURES / "v2-systemd"))
    reading = cgroups.read(root)
    assert root.reads.files / len(reading.cgroups) < 26


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A copy of a recorded host, to be damaged."""
    return shutil.copytree(FIXTURES / "v2-systemd", tmp_path / "host", symlinks=True)


def test_a_torn_file_costs_its_own_fields_only(host: Path):
    directory = (
        host / f"sys/fs/cgroup/system.slice/docker-{container_id('v2-systemd', 'web')}.scope"
    )
    (directory / "cpu.stat").write_bytes(b"usage_usec 12\nuser_us")
    (directory / "cpu.max").write_bytes(b"max\n")
    (directory / "memory.max").write_bytes(b"64M\n")
    reading = cgroups.read(Root(str(host)))
    web = by_path(reading)[f"/system.slice/{directory.name}"]
    assert web.cpu is None or web.cpu == Cpu(weight=100)
    assert web.memory is not None
    assert (web.memory.limit_bytes, web.memory.swap_limit_bytes) == (None, 64 * MIB)
    assert web.pids == Pids(2, 50)
    assert [(p.path.rpartition("/")[2], p.operation, p.error) for p in reading.problems] == [
        ("cpu.stat", "parse", "format"),
        ("cpu.max", "parse", "format"),
        ("memory.max", "parse", "format"),
    ]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EOPNOTSUPP, "unavailable"),
        (errno.ENODEV, "gone"),
        (errno.EPERM, "denied"),
        (errno.EACCES, "denied"),
        (errno.EIO, "unavailable"),
    ],
)
def test_a_file_that_cannot_be_read_costs_its_own_fields_only(
    host: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
):
    real = os.open

    def failing(path, flags, mode=0o777, *, dir_fd=None):
        if path == "io.stat":
            raise OSError(number, os.strerror(number), path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(root_module.os, "open", failing)
    reading = cgroups.read(Root(str(host)))
    assert len(reading.cgroups) == len(recorded_paths())
    assert {group.io for group in reading.cgroups} == {None}
    assert all(group.cpu is not None for group in reading.cgroups)
    (problem,) = reading.problems
    assert (problem.path, problem.error) == ("/sys/fs/cgroup/io.stat", kind)
    assert f"{len(reading.cgroups)} such files" in problem.message


def recorded_paths() -> set[str]:
    top = FIXTURES / "v2-systemd/sys/fs/cgroup"
    return {str(path) for path in (top, *top.rglob("*")) if path.is_dir()}


def v2(host: Path) -> Hierarchy:
    (found,) = hierarchies.find(Root(str(host)), Problems())
    return found


def test_a_cgroup_removed_while_it_is_read_is_gone_and_no_problem(host: Path):
    problems = Problems()
    directory = host / "sys/fs/cgroup/short"
    shutil.copytree(host / "sys/fs/cgroup/system.slice/rootless.service", directory)
    with Group.open(Root(str(host)), v2(host), "/short", problems) as group:
        assert group.number("pids.current") == 1
        shutil.rmtree(directory)
        with pytest.raises(Gone):
            group.number("pids.current")
    assert problems.all() == ()


def test_a_cgroup_made_again_while_it_is_read_is_another_one(host: Path):
    directory = host / "sys/fs/cgroup/short"
    shutil.copytree(host / "sys/fs/cgroup/system.slice/rootless.service", directory)
    with Group.open(Root(str(host)), v2(host), "/short", Problems()) as group:
        directory.rename(host / "aside")
        (host / "aside/pids.current").unlink()
        directory.mkdir()
        with pytest.raises(Gone, match="another cgroup"):
            group.number("pids.current")


def test_a_controller_taken_away_meanwhile_is_no_problem(host: Path):
    problems = Problems()
    path = host / "sys/fs/cgroup/system.slice"
    with Group.open(Root(str(host)), v2(host), "/system.slice", problems) as group:
        (path / "pids.current").unlink()
        assert group.number("pids.current") is None
    assert problems.all() == ()


def test_a_name_that_is_not_utf_8_can_be_read_and_written(host: Path):
    odd = os.fsencode(host) + b"/sys/fs/cgroup/a\xff b"
    shutil.copytree(os.fsencode(host) + b"/sys/fs/cgroup/system.slice/rootless.service", odd)
    reading = cgroups.read(Root(str(host)))
    assert by_path(reading)["/a\\xff b"].pids == Pids(1, 2397)
    assert reading.problems == ()


def test_a_hierarchy_mounted_twice_is_read_where_most_of_it_is_seen(host: Path):
    mountinfo = host / "proc/1/mountinfo"
    mountinfo.write_text(
        "90 1 0:26 /system.slice /part rw - cgroup2 cgroup2 rw\n" + mountinfo.read_text()
    )
    (host / "part").mkdir()
    (host / "part/cgroup.procs").touch()
    assert v2(host).mountpoint == "/sys/fs/cgroup"


def test_a_mount_that_is_hidden_below_another_is_passed_over(host: Path):
    mountinfo = host / "proc/1/mountinfo"
    mountinfo.write_text("90 1 0:26 / /hidden rw - cgroup2 cgroup2 rw\n" + mountinfo.read_text())
    (host / "hidden").mkdir()
    assert v2(host).mountpoint == "/sys/fs/cgroup"


def test_mount_options_are_not_taken_for_controllers(host: Path):
    (host / "proc/1/mountinfo").write_text(
        "36 35 0:27 / /v1 rw - cgroup cgroup rw,seclabel,xattr,cpuset_v2_mode,"
        "release_agent=/lib/agent,clone_children,memory,name=mine\n"
    )
    (host / "v1").mkdir()
    (host / "v1/cgroup.procs").touch()
    (found,) = hierarchies.find(Root(str(host)), Problems())
    assert found == Hierarchy(1, "/v1", ("memory", "name=mine"), "/")


def test_without_any_hierarchy_there_is_no_reading(host: Path):
    (host / "proc/1/mountinfo").write_text("20 1 0:16 / / rw - overlay o rw\n")
    with pytest.raises(Missing, match="no cgroup hierarchy is mounted"):
        cgroups.read(Root(str(host)))


def test_an_older_kernels_memory_stat_gives_the_kernels_part_by_its_parts(host: Path):
    directory = host / "sys/fs/cgroup/system.slice"
    (directory / "memory.stat").write_bytes(
        b"anon 1\nfile 2\nkernel_stack 4096\nslab 8192\npagetables 100\npercpu 7\n"
    )
    memory = by_path(cgroups.read(Root(str(host))))["/system.slice"].memory
    assert isinstance(memory, Memory)
    assert memory.kernel_bytes == 4096 + 8192 + 100 + 7


def test_a_device_without_a_line_in_diskstats_is_named_by_sysfs(host: Path):
    (host / "proc/diskstats").write_bytes(b"")
    (host / "sys/dev/block/98:0").unlink(missing_ok=True)
    (host / "sys/dev/block/98:0").symlink_to("../../devices/platform/uml/block/named")
    assert cgroups.read(Root(str(host))).device_names == {"98:0": "named"}


def test_a_device_that_nobody_names_is_left_unnamed(host: Path):
    (host / "proc/diskstats").write_bytes(b"")
    (host / "sys/dev/block/98:0").unlink(missing_ok=True)
    reading = cgroups.read(Root(str(host)))
    assert (reading.device_names, reading.problems) == ({}, ())


def test_a_tree_deeper_than_a_path_can_say_is_a_problem_not_a_crash(host: Path):
    top = os.open(host / "sys/fs/cgroup", os.O_RDONLY)
    try:
        for _ in range(20):
            os.mkdir("d" * 250, dir_fd=top)
            below = os.open("d" * 250, os.O_RDONLY, dir_fd=top)
            os.close(top)
            top = below
    finally:
        os.close(top)
    reading = cgroups.read(Root(str(host)))
    assert len(reading.cgroups) > len(recorded_paths())
    (problem,) = reading.problems
    assert (problem.operation, problem.message) == ("open", os.strerror(errno.ENAMETOOLONG))


def test_what_is_no_file_in_a_hostile_tree_is_passed_over(host: Path):
    directory = host / "sys/fs/cgroup/system.slice"
    for name in ("cpu.stat", "memory.current"):
        (directory / name).unlink()
    os.mkfifo(directory / "cpu.stat")
    (directory / "memory.current").symlink_to("/dev/zero")
    (directory / "loop").symlink_to("..")
    reading = cgroups.read(Root(str(host)))
    slice_ = by_path(reading)["/system.slice"]
    assert slice_.cpu is not None
    assert slice_.cpu.usage_usec is None
    assert slice_.memory is not None
    assert slice_.memory.current_bytes is None
    assert len(reading.cgroups) == len(recorded_paths())
