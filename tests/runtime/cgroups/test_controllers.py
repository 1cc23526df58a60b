"""Resources of the OCI spec become the right writes, in the right order, for v1 and v2."""

import pytest

from runtime.cgroups import cpu, cpuset, devices, hugetlb, io, memory, pids
from runtime.cgroups.controller import Reader, Write
from runtime.errors import FailedPrecondition, InvalidArgument


def reading(**files: str) -> Reader:
    return lambda file: files.get(file.replace(".", "_"))


NOTHING = reading()


def pairs(writes) -> list[tuple[str, str]]:
    return [(each.file, each.value) for each in writes]


def test_raising_memory_raises_memory_and_swap_first():
    resources = {"memory": {"limit": 200, "swap": 400}}
    current = reading(memory_memsw_limit_in_bytes="100\n")
    assert [each.file for each in memory.first(resources, current)] == [
        "memory.memsw.limit_in_bytes",
        "memory.limit_in_bytes",
    ]


def test_lowering_memory_lowers_memory_first():
    resources = {"memory": {"limit": 50, "swap": 80}}
    current = reading(memory_memsw_limit_in_bytes="100\n")
    assert [each.file for each in memory.first(resources, current)] == [
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
    ]


def test_lifting_the_swap_limit_comes_first():
    resources = {"memory": {"limit": -1, "swap": -1}}
    current = reading(memory_memsw_limit_in_bytes="100\n")
    assert memory.first(resources, current)[0].file == "memory.memsw.limit_in_bytes"


def test_swap_accounting_may_be_missing():
    (write,) = memory.first({"memory": {"swap": 5}}, NOTHING)
    assert write.optional


def test_the_swap_limit_of_v2_is_swap_alone():
    writes = memory.second({"memory": {"limit": 100, "swap": 150}}, NOTHING)
    assert pairs(writes) == [("memory.swap.max", "50"), ("memory.max", "100")]


def test_swap_alone_on_v2_is_counted_from_the_limit_that_is_there():
    writes = memory.second({"memory": {"swap": 150}}, reading(memory_max="100\n"))
    assert pairs(writes) == [("memory.swap.max", "50")]


def test_every_limit_of_memory_has_its_file():
    asked = {"reservation": 5, "kernelTCP": 6, "swappiness": 0, "disableOOMKiller": True}
    resources = {"memory": {**asked, "useHierarchy": True, "kernel": 7}}
    assert pairs(memory.first(resources, NOTHING)) == [
        ("memory.soft_limit_in_bytes", "5"),
        ("memory.kmem.tcp.limit_in_bytes", "6"),
        ("memory.swappiness", "0"),
        ("memory.oom_control", "1"),
        ("memory.use_hierarchy", "1"),
    ]
    assert pairs(memory.second(resources, NOTHING)) == [("memory.low", "5")]


def test_a_limit_below_what_is_in_use_is_refused_on_v2_if_asked_for():
    current = reading(memory_current="200\n")
    resources = {"memory": {"limit": 100, "checkBeforeUpdate": True}}
    with pytest.raises(FailedPrecondition, match=r"linux\.resources\.memory\.limit: 100.* 200"):
        memory.second(resources, current)
    assert memory.second({"memory": {"limit": 100}}, current)
    assert memory.second({"memory": {"limit": 300, "checkBeforeUpdate": True}}, current)


def test_every_limit_of_cpu_time_has_its_file():
    resources = {
        "cpu": {
            "quota": 1, "period": 2, "burst": 3, "realtimeRuntime": 4, "realtimePeriod": 5,
            "idle": 1,
        }
    }  # fmt: skip
    assert sorted(pairs(cpu.first(resources, NOTHING))) == [
        ("cpu.cfs_burst_us", "3"),
        ("cpu.cfs_period_us", "2"),
        ("cpu.cfs_quota_us", "1"),
        ("cpu.idle", "1"),
        ("cpu.rt_period_us", "5"),
        ("cpu.rt_runtime_us", "4"),
    ]
    assert pairs(cpu.second(resources, NOTHING)) == [
        ("cpu.idle", "1"),
        ("cpu.max", "1 2"),
        ("cpu.max.burst", "3"),
    ]


def test_less_memory_and_swap_than_memory_is_refused():
    with pytest.raises(InvalidArgument, match="memory and swap"):
        memory.second({"memory": {"limit": 100, "swap": 50}}, NOTHING)


def test_swap_without_any_memory_limit_is_refused_on_v2():
    with pytest.raises(InvalidArgument, match="needs a memory limit"):
        memory.second({"memory": {"swap": 150}}, reading(memory_max="max\n"))


@pytest.mark.parametrize(
    ("shares", "weight"), [(2, 1), (1024, 100), (262144, 10000), (1, 1), (999999, 10000)]
)
def test_default_shares_weigh_as_much_as_a_default_cgroup(shares: int, weight: int):
    assert cpu.weight(shares) == weight


def test_weights_rise_with_shares():
    weights = [cpu.weight(shares) for shares in range(2, 262144, 997)]
    assert weights == sorted(weights)
    assert all(1 <= each <= 10000 for each in weights)


def test_a_quota_on_v2_has_its_period():
    resources = {"cpu": {"quota": 50000, "period": 100000}}
    assert pairs(cpu.second(resources, NOTHING)) == [("cpu.max", "50000 100000")]


def test_a_period_alone_keeps_the_quota():
    writes = cpu.second({"cpu": {"period": 5000}}, reading(cpu_max="700 100000\n"))
    assert pairs(writes) == [("cpu.max", "700 5000")]


def test_a_negative_quota_is_no_limit():
    assert pairs(cpu.second({"cpu": {"quota": -1}}, NOTHING)) == [("cpu.max", "max")]
    assert pairs(cpu.first({"cpu": {"quota": -1}}, NOTHING)) == [("cpu.cfs_quota_us", "-1")]


def test_cpus_need_the_cpuset_controller_and_shares_do_not():
    assert cpuset.needed({"cpu": {"cpus": "0"}}) == ("cpuset",)
    assert cpuset.needed({"cpu": {"shares": 3}}) == ()
    assert cpu.needed({"cpu": {"cpus": "0"}}) == ()


def test_a_pids_limit_of_zero_leaves_it_as_it_is():
    assert list(pids.first({"pids": {"limit": 0}}, NOTHING)) == []
    assert pids.first({"pids": {"limit": -1}}, NOTHING) == [Write("pids.max", "max")]


def test_throttles_of_a_device_go_to_io_max():
    resources = {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}]}}
    assert pairs(io.second(resources, NOTHING)) == [("io.max", "8:0 rbps=1000")]
    assert pairs(io.first(resources, NOTHING)) == [("blkio.throttle.read_bps_device", "8:0 1000")]


@pytest.mark.parametrize(
    "block",
    [{"leafWeight": 5}, {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 5}]}],
)
def test_a_weight_of_leaves_is_v1_s_alone(block):
    (write,) = io.first({"blockIO": block}, NOTHING)
    assert write.file.startswith("blkio.leaf_weight")
    with pytest.raises(FailedPrecondition, match=r"linux\.resources\.blockIO\.leafWeight"):
        io.second({"blockIO": block}, NOTHING)


def test_a_weight_goes_to_the_scheduler_that_is_there():
    resources = {"blockIO": {"weight": 1000}}
    assert pairs(io.second(resources, reading(io_bfq_weight="100"))) == [("io.bfq.weight", "1000")]
    assert pairs(io.second(resources, NOTHING)) == [("io.weight", "10000")]


def test_huge_pages_are_limited_by_size():
    resources = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4096}]}
    assert pairs(hugetlb.first(resources, NOTHING)) == [("hugetlb.2MB.limit_in_bytes", "4096")]
    assert pairs(hugetlb.second(resources, NOTHING)) == [("hugetlb.2MB.max", "4096")]


def test_device_rules_keep_their_order_and_the_default_devices_follow():
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 3, "access": "rw"},
        {"allow": True, "type": "c", "major": 136, "access": "rwm"},
    ]
    found = pairs(devices.first({"devices": rules}, NOTHING))
    assert found[:3] == [
        ("devices.deny", "a"),
        ("devices.allow", "c 10:3 rw"),
        ("devices.allow", "c 136:* rwm"),
    ]
    assert ("devices.allow", "c 1:3 rwm") in found[3:]
    assert ("devices.allow", "c 136:* rwm") not in found[3:]


@pytest.mark.parametrize("module", [memory, cpu, cpuset, pids, io, hugetlb, devices])
def test_nothing_asked_is_nothing_written(module):
    for resources in ({}, {module.KEY: None}):
        assert list(module.first(resources, NOTHING)) == []
        assert list(module.second(resources, NOTHING)) == []
        assert list(module.needed(resources)) == []
