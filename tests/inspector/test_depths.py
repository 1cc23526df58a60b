"""What cgroups say in depth: who binds, whose kills they were, what was made anew, and rates."""

import pytest

from collectors.formats.io_device import IoDevice as RawDevice
from collectors.kernel import cgroups as raw
from collectors.kernel.cgroups import Cpuset, Depth, DepthReading, IoLimit, Memory
from inspector.derive import derive
from inspector.domains.cgroups.model import Cgroup
from inspector.frame import Frame
from inspector.sample import Sample
from tests.inspector.canned import Host

TREE = ("/", "/a", "/a/b", "/a/b/c")


def sample(
    host: Host, depths: dict[str, Depth] | None = None, *, at: float = 100.0, hierarchy: str = ""
) -> Sample:
    """Return the sample with what its cgroups say besides."""
    import msgspec

    taken = host.sample(at=at)
    said = DepthReading({(hierarchy, path): depth for path, depth in (depths or {}).items()})
    return msgspec.structs.replace(taken, readings={**taken.readings, raw.DEPTH.name: said})


def host(parts: dict[str, dict[str, object]] | None = None, *, hierarchy: str = "") -> Host:
    made = Host(v1=bool(hierarchy))
    for place, path in enumerate(TREE):
        made.group(path, hierarchy=hierarchy, **{"inode": place + 1, **(parts or {}).get(path, {})})
    return made


def found(frame: Frame, path: str) -> Cgroup:
    assert isinstance(frame.cgroups, tuple)
    return next(one for one in frame.cgroups if one.path == path)


def memory(**parts: object) -> dict[str, object]:
    return {"memory": Memory(current_bytes=1, **parts)}  # type: ignore[arg-type]  # a test's words


def everywhere(**parts: object) -> dict[str, dict[str, object]]:
    return {path: memory(**parts) for path in TREE}


def test_protection_is_the_least_on_the_way_and_the_root_limits_nothing():
    depths = {
        "/": Depth(memory_low_bytes=0),
        "/a": Depth(memory_low_bytes=500, memory_min_bytes=10),
        "/a/b": Depth(memory_low_bytes=None, memory_min_bytes=10),
        "/a/b/c": Depth(memory_low_bytes=900, memory_min_bytes=3),
    }
    said = found(derive(None, sample(host(everywhere()), depths)), "/a/b/c").memory
    assert said is not None
    assert (said.low_bytes, said.effective_low_bytes, said.low_limited_by) == (900, 500, "/a")
    assert (said.min_bytes, said.effective_min_bytes, said.min_limited_by) == (3, 3, "/a/b/c")
    said = found(derive(None, sample(host(everywhere()), depths)), "/a/b").memory
    assert said is not None
    assert (said.effective_min_bytes, said.min_limited_by) == (10, "/a/b")  # the nearer of equals


def test_io_limits_are_bound_each_by_its_own_cgroup():
    depths = {
        "/": Depth(),
        "/a": Depth(io_limits={"8:0": IoLimit(read_bytes=100, write_ops=5)}),
        "/a/b": Depth(io_limits={"8:16": IoLimit(write_bytes=1)}),
        "/a/b/c": Depth(io_limits={"8:0": IoLimit(read_bytes=200, write_ops=4)}, io_weight=50),
    }
    parts: dict[str, dict[str, object]] = {path: {"io": ()} for path in TREE}
    io = found(derive(None, sample(host(parts), depths)), "/a/b/c").io
    assert io is not None
    assert io.weight == 50
    assert isinstance(io.limits, tuple)
    first, second = io.limits
    assert (first.device, first.name) == ("8:0", "sda")
    assert (first.read_bytes, first.read_bytes_limited_by) == (100, "/a")
    assert (first.write_ops, first.write_ops_limited_by) == (4, "/a/b/c")
    assert (first.write_bytes, first.write_bytes_limited_by) == (None, None)
    assert (second.device, second.write_bytes, second.write_bytes_limited_by) == ("8:16", 1, "/a/b")


def test_io_limits_of_version_1_hold_for_the_cgroup_itself_alone():
    depths = {
        "/": Depth(),
        "/a": Depth(io_limits={"8:0": IoLimit(read_bytes=100)}),
        "/a/b": Depth(),
        "/a/b/c": Depth(io_limits={"8:0": IoLimit(read_bytes=200)}),
    }
    parts: dict[str, dict[str, object]] = {path: {"io": ()} for path in TREE}
    taken = sample(host(parts, hierarchy="blkio"), depths, hierarchy="blkio")
    told = {
        path: [(each.read_bytes, each.read_bytes_limited_by) for each in io.limits]
        for path in TREE
        for io in (found(derive(None, taken), path).io,)
        if io is not None and isinstance(io.limits, tuple)
    }
    assert told == {"/": [], "/a": [(100, "/a")], "/a/b": [], "/a/b/c": [(200, "/a/b/c")]}


def test_a_cpuset_names_the_nearest_cgroup_that_has_less_than_the_one_above():
    depths = {
        "/": Depth(cpuset=Cpuset(effective_cpus="0-7", effective_mems="0")),
        "/a": Depth(cpuset=Cpuset(cpus="0-3", effective_cpus="0-3", effective_mems="0")),
        "/a/b": Depth(cpuset=Cpuset(effective_cpus="0-3", effective_mems="0")),
        "/a/b/c": Depth(
            cpuset=Cpuset(effective_cpus="0-3", effective_mems="0", partition="member")
        ),
    }
    said = found(derive(None, sample(host(), depths)), "/a/b/c").cpuset
    assert (said.cpus, said.effective_cpus, said.cpus_limited_by) == (None, "0-3", "/a")
    assert (said.mems_limited_by, said.partition) == (None, "member")


def test_huge_pages_are_bound_by_the_smallest_limit_above():
    pages = raw.Hugetlb(current_bytes=0, limit_bytes=8)
    depths = {
        "/": Depth(),
        "/a": Depth(hugetlb={"2MB": raw.Hugetlb(current_bytes=0, limit_bytes=4)}),
        "/a/b": Depth(),
        "/a/b/c": Depth(hugetlb={"2MB": pages}),
    }
    said = found(derive(None, sample(host(), depths)), "/a/b/c").hugetlb["2MB"]
    assert (said.limit_bytes, said.effective_limit_bytes, said.limited_by) == (8, 4, "/a")


def kills(
    totals: dict[str, int], local: dict[str, int], *, hierarchy: str = ""
) -> dict[str, tuple[object, object]]:
    parts = {path: memory(oom_kills=count) for path, count in totals.items()}
    depths = {
        path: Depth(memory_events_local={"oom_kill": count} if not hierarchy else None)
        for path, count in local.items()
    }
    frame = derive(None, sample(host(parts, hierarchy=hierarchy), depths, hierarchy=hierarchy))
    return {
        path: (one.oom_kills_below, one.oom_kills_gone)
        for path in TREE
        for one in (found(frame, path).memory,)
        if one is not None
    }


def test_kills_of_version_2_that_no_child_accounts_for_were_in_cgroups_that_are_gone():
    told = kills({"/a": 9, "/a/b": 5, "/a/b/c": 2}, {"/a": 1, "/a/b": 0, "/a/b/c": 2})
    assert told == {"/a": (5, 3), "/a/b": (2, 3), "/a/b/c": (0, 0)}


def test_kills_of_version_1_are_added_up_and_those_that_are_gone_are_not_known():
    told = kills(
        {"/": 0, "/a": 1, "/a/b": 2, "/a/b/c": 4},
        dict.fromkeys(TREE, 0),
        hierarchy="memory",
    )
    assert told == {"/": (7, None), "/a": (6, None), "/a/b": (4, None), "/a/b/c": (0, None)}


def test_events_of_version_1_are_local_ones():
    parts = {"/a": memory(events={"oom_kill": 3, "failcnt": 1})}
    frame = derive(
        None, sample(host(parts, hierarchy="memory"), {"/a": Depth()}, hierarchy="memory")
    )
    said = found(frame, "/a").memory
    assert said is not None
    assert said.events_local == {"oom_kill": 3, "failcnt": 1}


def test_a_cgroup_made_anew_is_flagged_for_one_frame():
    before, after = host(), host({"/a/b": {"inode": 77}})
    frame = derive(sample(before), sample(after, at=101.0))
    assert [one.path for one in frame.cgroups if one.recreated] == ["/a/b"]  # type: ignore[union-attr]  # asked for
    frame = derive(sample(after), sample(after, at=101.0))
    assert not any(one.recreated for one in frame.cgroups)  # type: ignore[union-attr]  # asked for
    assert not any(one.recreated for one in derive(None, sample(after)).cgroups)  # type: ignore[union-attr]  # asked for


def test_a_limit_above_that_does_not_count_what_is_below_binds_nothing():
    def bound(hierarchical: int | None) -> tuple[int | None, str | None]:
        parts = {
            "/a": memory(limit_bytes=100),
            "/a/b": memory(limit_bytes=500, hierarchical_limit_bytes=hierarchical),
        }
        said = found(derive(None, sample(host(parts, hierarchy="memory"))), "/a/b").memory
        assert said is not None
        return said.limit_bytes, said.limited_by

    assert bound(100) == (100, "/a")
    assert bound(500) == (500, "/a/b")  # memory.use_hierarchy was 0


def test_own_limits_are_told_beside_the_ones_that_bind():
    parts = {"/a": memory(limit_bytes=100), "/a/b": memory(limit_bytes=500, high_bytes=7)}
    depths = dict.fromkeys(TREE, Depth())
    said = found(derive(None, sample(host(parts), depths)), "/a/b").memory
    assert said is not None
    assert (said.limit_bytes, said.own_limit_bytes, said.own_high_bytes) == (100, 500, 7)


def test_processor_rates_are_over_the_time_between():
    def at(usec: int) -> Host:
        cpu = raw.Cpu(
            usage_usec=usec,
            user_usec=usec,
            system_usec=usec // 2,
            periods=usec // 100,
            throttled_periods=usec // 200,
            throttled_usec=usec // 4,
        )
        return host({"/a": {"cpu": cpu}})

    said = found(derive(sample(at(0)), sample(at(4_000_000), at=102.0)), "/a").cpu
    assert said is not None
    assert (said.user_cores, said.system_cores) == (2.0, 1.0)
    assert (said.periods_per_second, said.throttled_periods_per_second) == (20_000.0, 10_000.0)
    assert said.throttled_usec_per_second == 500_000.0
    alone = found(derive(None, sample(at(5))), "/a").cpu
    assert alone is not None
    assert alone.user_cores is None


def test_discards_and_costs_of_a_device_have_rates():
    def at(count: int) -> Host:
        cost = {"usage": count, "wait": count // 2}
        device = RawDevice("8:0", 0, 0, 0, 0, count, count, cost)
        return host({"/a": {"io": (device,)}})

    io = found(derive(sample(at(0)), sample(at(1_000_000), at=102.0)), "/a").io
    assert io is not None
    (device,) = io.devices
    assert (device.discard_bytes_per_second, device.discard_ops_per_second) == (500_000, 500_000)
    assert device.cost_ratios == {"usage": 0.5, "wait": 0.25}


@pytest.mark.parametrize(("grown", "ratio"), [(0, 0.0), (500_000, 0.25), (9_000_000, 1.0)])
def test_pressure_tells_the_share_of_the_time_between_and_never_more_than_all(grown, ratio):
    def at(total: int) -> Host:
        line = raw.PressureLine(0.0, 0.0, 0.0, total)
        return host({"/a": {"pressure": {"io": raw.Pressure(line, None)}}})

    said = found(derive(sample(at(7)), sample(at(7 + grown), at=102.0)), "/a").pressure
    assert said is not None
    assert said["io"].some is not None
    assert said["io"].some.ratio == ratio


def test_a_tree_deeper_than_functions_may_nest_is_no_trouble():
    made, path = Host(), ""
    made.group("/")
    for _ in range(1500):
        path += "/a"
        made.group(path, memory=Memory(current_bytes=1, limit_bytes=9, oom_kills=1))
    depths = {one.path: Depth(memory_low_bytes=5) for one in made.cgroups}
    frame = derive(None, sample(made, depths))
    said = found(frame, path).memory
    assert said is not None
    assert (said.limited_by, said.effective_low_bytes) == (path, 5)
