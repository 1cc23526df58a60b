"""Limits of a spec as properties of a unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cgroups.systemd import properties
from runtime.cgroups.systemd.properties import Systemd
from runtime.errors import InvalidArgument

FIRST = Systemd(252, unified=False)
SECOND = Systemd(252, unified=True)
INFINITY = (1 << 64) - 1


def nothing(_file: str) -> str | None:
    return None


def told(resources: dict, systemd: Systemd = SECOND) -> dict:
    return {each.name: each.value for each in properties.resources(resources, systemd, nothing)}


@pytest.mark.parametrize(
    ("resources", "first", "second"),
    [
        ({}, {}, {}),
        ({"cpu": {"shares": 1024}}, {"CPUShares": 1024}, {"CPUWeight": 100}),
        ({"cpu": {"shares": 0, "quota": 0}}, {}, {}),
        ({"cpu": {"idle": 1}}, {}, {"CPUWeight": 0}),
        ({"memory": {"limit": 4096}}, {"MemoryLimit": 4096}, {"MemoryMax": 4096}),
        ({"memory": {"limit": -1}}, {"MemoryLimit": INFINITY}, {"MemoryMax": INFINITY}),
        (
            {"memory": {"limit": 4096, "swap": 8192, "reservation": 1024}},
            {"MemoryLimit": 4096},
            {"MemoryMax": 4096, "MemorySwapMax": 4096, "MemoryLow": 1024},
        ),
        ({"memory": {"swap": -1}}, {}, {"MemorySwapMax": INFINITY}),
        (
            {"cpu": {"cpus": "0-1,8", "mems": "0"}},
            {},
            {"AllowedCPUs": b"\x03\x01", "AllowedMemoryNodes": b"\x01"},
        ),
        ({"blockIO": {"weight": 10}}, {"BlockIOWeight": 10}, {"IOWeight": 1}),
        (
            {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 1000}]}},
            {"BlockIODeviceWeight": [("/dev/block/8:0", 1000)]},
            {"IODeviceWeight": [("/dev/block/8:0", 10000)]},
        ),
        (
            {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}]}},
            {"BlockIOReadBandwidth": [("/dev/block/8:0", 5)]},
            {"IOReadBandwidthMax": [("/dev/block/8:0", 5)]},
        ),
        (
            {"blockIO": {"throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 5}]}},
            {},
            {"IOWriteIOPSMax": [("/dev/block/8:0", 5)]},
        ),
    ],
)
def test_limits_are_properties(resources: dict, first: dict, second: dict) -> None:
    assert told(resources, FIRST) == first
    assert told(resources, SECOND) == second


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ({"quota": 50000, "period": 100000}, {"CPUQuotaPerSecUSec": 500_000, "CPUQuotaPeriodUSec": 100_000}),
        ({"quota": 12345}, {"CPUQuotaPerSecUSec": 130_000}),
        ({"quota": 150_000, "period": 50_000}, {"CPUQuotaPerSecUSec": 3_000_000, "CPUQuotaPeriodUSec": 50_000}),
        ({"quota": -1}, {"CPUQuotaPerSecUSec": INFINITY}),
        ({"period": 50_000}, {"CPUQuotaPeriodUSec": 50_000}),
    ],
)  # fmt: skip
def test_a_quota_is_rounded_up_to_a_percent(cpu: dict, expected: dict) -> None:
    assert told({"cpu": cpu}) == expected


def test_an_old_systemd_is_told_only_what_it_knows() -> None:
    resources = {"cpu": {"quota": 50000, "period": 100000, "cpus": "0", "idle": 1}}
    assert told(resources, Systemd(239, unified=True)) == {"CPUQuotaPerSecUSec": 500_000}


@pytest.mark.parametrize(
    ("unified", "expected"),
    [
        ({"memory.high": "4096", "memory.min": "max"}, {"MemoryHigh": 4096, "MemoryMin": INFINITY}),
        ({"cpu.max": "max"}, {"CPUQuotaPerSecUSec": INFINITY}),
        ({"cpu.max": "5000 10000"}, {"CPUQuotaPerSecUSec": 500_000, "CPUQuotaPeriodUSec": 10_000}),
        ({"cpu.weight": "7", "pids.max": "9"}, {"CPUWeight": 7, "TasksMax": 9}),
        ({"cpuset.cpus": "0-2"}, {"AllowedCPUs": b"\x07"}),
        ({"cpuset.mems": "1"}, {"AllowedMemoryNodes": b"\x02"}),
        ({"memory.oom.group": "1", "hugetlb.2MB.max": "0"}, {}),
        ({"memory.max": "plenty", "cpu.max": "max max"}, {}),
    ],
)
def test_raw_values_are_properties_where_systemd_has_one(unified: dict, expected: dict) -> None:
    assert told({"unified": unified}) == expected


@pytest.mark.parametrize(("limit", "value"), [(5, 5), (-1, INFINITY)])
def test_the_limit_of_processes_is_of_its_own(limit: int, value: int) -> None:
    (found,) = properties.tasks({"pids": {"limit": limit}})
    assert (found.name, found.value) == ("TasksMax", value)
    assert properties.tasks({"pids": {"limit": 0}}) == ()


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_list_of_numbers_is_a_bitmap(numbers: set[int]) -> None:
    text = ",".join(map(str, sorted(numbers)))
    bits = int.from_bytes(properties.bitmap(text, "cpus"), "little")
    assert {index for index in range(301) if bits >> index & 1} == numbers


@pytest.mark.parametrize("text", ["", "a", "1-", "3-1", "1,,2", "-1", "99999", "٣"])
def test_what_is_no_list_of_numbers_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidArgument, match="mems"):
        properties.bitmap(text, "mems")


DENY_ALL = {"allow": False, "access": "rwm"}


def devices(*rules: dict) -> dict:
    found = properties.device_policy({"devices": list(rules)})
    return {each.name: each.value for each in found}


def test_without_rules_devices_are_left_alone() -> None:
    assert devices() == {}


def test_allowed_devices_are_listed_with_those_that_every_container_has() -> None:
    fuse = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}
    disks = {"allow": True, "type": "b", "major": 8, "access": "r"}
    told = devices(DENY_ALL, fuse, disks)
    assert told["DevicePolicy"] == "strict"
    listed = dict(told["DeviceAllow"])
    assert listed["/dev/char/10:229"] == "rw"
    assert listed["block-8"] == "r"
    assert listed["/dev/char/1:3"] == "rwm"
    assert listed["char-*"] == listed["block-*"] == "m"
    assert listed["char-136"] == "rwm"


def test_a_list_of_what_is_forbidden_is_not_for_systemd() -> None:
    fuse = {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "rw"}
    told = devices({"allow": True, "access": "rwm"}, fuse)
    assert told == {"DevicePolicy": "auto", "DeviceAllow": []}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("CollectMode", "'inactive-or-failed'", ("CollectMode", "s", "inactive-or-failed")),
        ("SendSIGHUP", "true", ("SendSIGHUP", "b", True)),
        ("TasksMax", "uint64 5", ("TasksMax", "t", 5)),
        ("KillSignal", "15", ("KillSignal", "i", 15)),
        ("TimeoutStopSec", "3", ("TimeoutStopUSec", "t", 3_000_000)),
        ("TimeoutStopUSec", "uint64 5", ("TimeoutStopUSec", "t", 5)),
    ],
)
def test_annotations_are_properties(name: str, text: str, expected: tuple) -> None:
    (found,) = properties.annotated({f"org.systemd.property.{name}": text, "other": "x"})
    assert tuple(found) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [("lower", "true"), ("A.B", "true"), ("A", "what"), ("A", "uint32 -1"), ("A", "uint32 4294967296"),
     ("A", "int128 5"), ("ASec", "'x'"), ("A", "'it\\'s'")],
)  # fmt: skip
def test_annotations_that_are_no_properties_are_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"annotations\.org\.systemd\.property\.{name}"):
        properties.annotated({f"org.systemd.property.{name}": text})


def test_the_last_of_two_values_counts() -> None:
    one, two = (properties.Property("A", "t", number) for number in (1, 2))
    assert properties.whole([one, two]) == [("A", ("t", 2))]
