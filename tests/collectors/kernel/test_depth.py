"""What cgroups say besides: hand-made files of version 2 and 1 as kernels write them, and live ones."""

import os
from pathlib import Path

import pytest

from collectors.kernel import cgroups
from collectors.kernel.cgroups import Counted, Cpuset, Depth, Hugetlb, IoLimit
from collectors.root import Root
from tests import requirements
from tests.collectors.kernel.test_cgroups_live import Made
from tests.collectors.kernel.test_cgroups_live import group as group  # noqa: PLC0414 - a fixture

V2 = {
    "cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n",
    "cgroup.procs": "",
    "cgroup.type": "domain\n",
    "cgroup.subtree_control": "memory pids\n",
    "cgroup.stat": "nr_descendants 3\nnr_dying_descendants 2\n",
    "cgroup.max.depth": "4\n",
    "cgroup.max.descendants": "max\n",
    "cpu.stat.local": "throttled_usec 77\n",
    "cpu.max.burst": "5000\n",
    "cpu.idle": "1\n",
    "cpuset.cpus": "0-1\n",
    "cpuset.cpus.effective": "0\n",
    "cpuset.cpus.partition": "isolated invalid (Cpu list in cpuset.cpus not exclusive)\n",
    "cpuset.mems": "\n",
    "cpuset.mems.effective": "0\n",
    "memory.current": "4096\n",
    "memory.min": "1048576\n",
    "memory.low": "max\n",
    "memory.oom.group": "1\n",
    "memory.events.local": "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 5\n",
    "memory.zswap.current": "10\n",
    "memory.zswap.max": "20\n",
    "memory.zswap.writeback": "0\n",
    "memory.swap.peak": "30\n",
    "memory.swap.high": "40\n",
    "memory.swap.events": "high 1\nmax 2\nfail 3\n",
    "pids.peak": "9\n",
    "pids.events": "max 6\n",
    "io.weight": "default 150\n8:0 50\n",
    "io.max": "8:0 rbps=1048576 wbps=max riops=max wiops=120\n8:16 rbps=max wbps=max riops=max wiops=max\n",
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.max": "4194304\n",
    "hugetlb.2MB.events": "max 7\n",
    "hugetlb.2MB.rsvd.current": "6291456\n",
    "hugetlb.2MB.rsvd.max": "max\n",
    "hugetlb.1GB.current": "0\n",
    "hugetlb.1GB.max": "max\n",
    "rdma.current": "mlx5_0 hca_handle=1 hca_object=20\n",
    "rdma.max": "mlx5_0 hca_handle=2 hca_object=max\n",
    "misc.current": "sev 1\n",
    "misc.max": "sev 8\nsev_es max\n",
    "memory.numa_stat": "anon N0=4096 N1=0\nfile N0=1 N1=2\n",
}
V1 = {
    "memory": {
        "memory.usage_in_bytes": "4096\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "memory.soft_limit_in_bytes": "8192\n",
        "memory.swappiness": "60\n",
        "memory.kmem.tcp.usage_in_bytes": "12288\n",
        "memory.stat": "rss 1\ntotal_rss 2\nhierarchical_memory_limit 65536\n",
        "memory.numa_stat": "total=3 N0=1 N1=2\nhierarchical_total=5 N0=1 N1=4\n",
    },
    "cpuacct": {"cpuacct.usage": "9000\n", "cpuacct.usage_percpu": "4000 5000 \n"},
    "cpu": {
        "cpu.shares": "1024\n",
        "cpu.cfs_burst_us": "700\n",
        "cpu.stat.local": "throttled_time 9000\n",
    },
    "cpuset": {
        "cpuset.cpus": "0-3\n",
        "cpuset.mems": "0\n",
        "cpuset.effective_cpus": "0-1\n",
        "cpuset.effective_mems": "0\n",
        "cpuset.memory_migrate": "1\n",
    },
    "blkio": {
        "blkio.weight": "500\n",
        "blkio.throttle.read_bps_device": "8:0 1048576\n",
        "blkio.throttle.write_bps_device": "",
        "blkio.throttle.read_iops_device": "8:0 100\n",
        "blkio.throttle.write_iops_device": "8:16 7\n",
    },
    "hugetlb": {
        "hugetlb.2MB.usage_in_bytes": "0\n",
        "hugetlb.2MB.limit_in_bytes": "4194304\n",
        "hugetlb.2MB.max_usage_in_bytes": "2097152\n",
        "hugetlb.2MB.failcnt": "3\n",
        "hugetlb.2MB.rsvd.usage_in_bytes": "5\n",
        "hugetlb.2MB.rsvd.limit_in_bytes": "9223372036854771712\n",
    },
}


def tree(base: Path, mounts: dict[str, tuple[str, dict[str, str]]]) -> Root:
    """Write a host with these hierarchies, each with one cgroup `/box` of these files."""
    lines: list[str] = []
    for number, (mountpoint, (options, files)) in enumerate(mounts.items()):
        box = base / mountpoint / "box"
        box.mkdir(parents=True)
        for name in ("cgroup.procs", "cgroup.controllers"):
            (base / mountpoint / name).write_text("")
        for name, text in files.items():
            (box / name).write_text(text)
        fstype = "cgroup2" if options == "" else "cgroup"
        lines.append(f"{number} 1 0:{number} / /{mountpoint} rw - {fstype} none rw,{options}\n")
    (base / "proc/1").mkdir(parents=True)
    (base / "proc/1/mountinfo").write_text("".join(lines))
    (base / "proc/1/cgroup").write_text("0::/\n")
    (base / "proc/diskstats").write_text("")
    (base / "sys/devices/system/node").mkdir(parents=True)
    (base / "sys/devices/system/node/online").write_text("0-1\n")
    return Root(str(base))


def depths(root: Root) -> dict[str, Depth]:
    """Return what `/box` says in each hierarchy; fail when a file was not understood."""
    reader = cgroups.Reader()
    assert reader.read(root).problems == ()
    reading = reader.read_depth(root)
    assert reading.problems == ()
    return {name: depth for (name, path), depth in reading.depths.items() if path == "/box"}


def test_every_file_of_version_2_is_read(tmp_path):
    depth = depths(tree(tmp_path, {"sys/fs/cgroup": ("", V2)}))[""]
    assert depth == Depth(
        type="domain",
        subtree_control=("memory", "pids"),
        descendants=3,
        dying_descendants=2,
        descendants_limit=None,
        depth_limit=4,
        cpu_burst_limit_usec=5000,
        cpu_idle=True,
        cpu_throttled_local_usec=77,
        cpuset=Cpuset(
            cpus="0-1",
            mems=None,
            effective_cpus="0",
            effective_mems="0",
            partition="isolated invalid (Cpu list in cpuset.cpus not exclusive)",
        ),
        memory_min_bytes=1 << 20,
        memory_low_bytes=None,
        memory_oom_group=True,
        memory_events_local={
            "low": 0,
            "high": 1,
            "max": 2,
            "oom": 3,
            "oom_kill": 4,
            "oom_group_kill": 5,
        },
        zswap_bytes=10,
        zswap_limit_bytes=20,
        zswap_writeback=False,
        swap_peak_bytes=30,
        swap_high_bytes=40,
        swap_events={"high": 1, "max": 2, "fail": 3},
        pids_peak=9,
        pids_events={"max": 6},
        hugetlb={
            "2MB": Hugetlb(
                current_bytes=2 << 20,
                limit_bytes=4 << 20,
                failures=7,
                reserved_bytes=6 << 20,
            )
        },
        rdma={"mlx5_0": {"hca_handle": Counted(1, 2), "hca_object": Counted(20, None)}},
        misc={"sev": Counted(1, 8), "sev_es": Counted(None, None)},
        io_weight=150,
        io_limits={"8:0": IoLimit(read_bytes=1 << 20, write_ops=120)},
        numa={"anon": {"N0": 4096, "N1": 0}, "file": {"N0": 1, "N1": 2}},
    )


def test_every_file_of_version_1_is_read(tmp_path):
    mounts = {f"sys/fs/cgroup/{name}": (name, files) for name, files in V1.items()}
    root = tree(tmp_path, mounts)
    found = depths(root)
    assert found["memory"] == Depth(
        memory_soft_limit_bytes=8192,
        swappiness=60,
        tcp_bytes=12288,
        numa={"total": {"N0": 1, "N1": 4}},
    )
    assert found["cpuacct"] == Depth(cpu_usage_percpu_usec=(4, 5))
    assert found["cpu"] == Depth(cpu_burst_limit_usec=700, cpu_throttled_local_usec=9)
    assert found["cpuset"].cpuset == Cpuset(
        cpus="0-3", mems="0", effective_cpus="0-1", effective_mems="0", memory_migrate=True
    )
    assert found["blkio"] == Depth(
        io_weight=500,
        io_limits={
            "8:0": IoLimit(read_bytes=1 << 20, read_ops=100),
            "8:16": IoLimit(write_ops=7),
        },
    )
    assert found["hugetlb"].hugetlb == {
        "2MB": Hugetlb(
            current_bytes=0,
            limit_bytes=4 << 20,
            peak_bytes=2 << 20,
            failures=3,
            reserved_bytes=5,
        )
    }
    (memory,) = [one for one in cgroups.read(root).cgroups if one.memory is not None]
    assert memory.memory is not None
    assert memory.memory.hierarchical_limit_bytes == 65536


def test_a_file_that_is_damaged_costs_itself_alone(tmp_path):
    root = tree(tmp_path, {"sys/fs/cgroup": ("", {**V2, "io.max": "8:0 =5\n"})})
    reader = cgroups.Reader()
    reader.read(root)
    reading = reader.read_depth(root)
    (problem,) = reading.problems
    assert problem.path == "/sys/fs/cgroup/box/io.max"
    assert reading.depths["", "/box"].io_limits == {}
    assert reading.depths["", "/box"].io_weight == 150


@pytest.mark.root
def test_a_limit_that_only_depth_reads_is_read_again_when_it_was_written(group: Made):
    soft = group.find("memory.low") or group.find("memory.soft_limit_in_bytes")
    assert soft is not None
    field = "memory_low_bytes" if soft.name == "memory.low" else "memory_soft_limit_bytes"
    reader, root = cgroups.Reader(), Root()

    def said() -> int | None:
        reader.read(root)
        found = reader.read_depth(root).depths
        return next(
            value
            for (_, path), depth in found.items()
            for value in (getattr(depth, field),)
            if path == group.path and value is not None
        )

    soft.write_text(str(1 << 20))
    assert said() == 1 << 20
    said()
    soft.write_text(str(2 << 20))
    assert said() == 2 << 20


@pytest.mark.root
def test_throttles_of_a_real_device_are_told(group: Made):
    limit = group.find("io.max") or group.find("blkio.throttle.read_bps_device")
    if limit is None:
        requirements.absent_here("no hierarchy of this host limits io")
    device = os.stat("/").st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        limit.write_text(
            f"{number} rbps=1048576\n" if limit.name == "io.max" else f"{number} 1048576\n"
        )
    except OSError as error:
        requirements.absent_here(f"the disk of / takes no limit: {error}")
    reader = cgroups.Reader()
    reader.read(Root())
    found = [
        depth.io_limits
        for (_, path), depth in reader.read_depth(Root()).depths.items()
        if path == group.path and depth.io_limits
    ]
    assert found == [{number: IoLimit(read_bytes=1 << 20)}]
