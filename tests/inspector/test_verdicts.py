"""What is said to be wrong: throttling, memory, tasks, stalls, and kills in cgroups that are gone."""

import pytest

from collectors.kernel.cgroups import Cpu, Memory, Pids, Pressure, PressureLine
from inspector.derive import derive
from inspector.domains.cgroups.model import Cgroup
from inspector.frame import Frame
from tests.inspector.canned import A, Host, own

LEAF = f"/docker/{A}"
MEGA = 1 << 20


def host(leaf: dict[str, object] | None = None, parent: dict[str, object] | None = None) -> Host:
    made = Host()
    made.process(100, 1, "app", ns=own(1), inside=[1], cgroup=LEAF)
    made.group("/", processes=1)
    made.group("/docker", inode=2, processes=0, **(parent or {}))
    if leaf is not None:
        made.group(LEAF, **{"inode": 3, **leaf})
    return made


def verdicts(before: Host | None, after: Host) -> tuple[str, ...]:
    frame = derive(before.sample(at=100) if before else None, after.sample(at=101))
    assert isinstance(frame.containers, tuple)
    (one,) = frame.containers
    return one.verdicts


def cgroup(frame: Frame, path: str) -> Cgroup:
    assert isinstance(frame.cgroups, tuple)
    return next(one for one in frame.cgroups if one.path == path)


def held(periods: int, throttled: int, quota: int = 50_000) -> dict[str, object]:
    return {
        "cpu": Cpu(
            usage_usec=1,
            periods=periods,
            throttled_periods=throttled,
            quota_usec=quota,
            period_usec=100_000,
        )
    }


def line(share: float) -> PressureLine:
    return PressureLine(share, share, share, 1)


def killed(kills: int, **more: object) -> dict[str, object]:
    return {"memory": Memory(current_bytes=1, oom_kills=kills, events={"oom_kill": kills}), **more}


def test_nothing_is_said_of_what_is_well():
    well = {
        "memory": Memory(current_bytes=50, limit_bytes=100),
        "pids": Pids(5, 100),
        "pressure": {"io": Pressure(line(1.0), line(0.0))},
        **held(100, 0),
    }
    assert verdicts(host(well), host(well)) == ()


def test_throttling_names_the_share_the_file_the_cgroup_and_the_cores():
    said = verdicts(host(held(100, 10)), host(held(200, 48)))
    assert said == (f"throttled 38 % of periods by cpu.max of {LEAF}: 0.5 cores",)


def test_throttling_by_an_ancestor_is_the_ancestors():
    said = verdicts(host({}, held(100, 0)), host({}, held(200, 20, quota=100_000)))
    assert said == ("throttled 20 % of periods by cpu.max of /docker: 1 core",)


def test_throttling_of_the_past_is_none():
    assert verdicts(host(held(100, 50)), host(held(100, 50))) == ()
    assert verdicts(None, host(held(100, 50))) == ()


def test_memory_near_a_limit_names_whose_limit_and_leaves_out_what_can_be_dropped():
    near = {"memory": Memory(current_bytes=430 * MEGA, inactive_file_bytes=18 * MEGA)}
    above = {"memory": Memory(current_bytes=1, limit_bytes=434 * MEGA)}
    (said,) = verdicts(None, host(near, above))
    assert said == "memory at 95 % of 434M set by memory.max of /docker"
    far = {"memory": Memory(current_bytes=430 * MEGA, inactive_file_bytes=200 * MEGA)}
    assert verdicts(None, host(far, above)) == ()


def test_memory_above_high_is_said():
    (said,) = verdicts(None, host({"memory": Memory(current_bytes=9 * MEGA, high_bytes=8 * MEGA)}))
    assert said.startswith("memory is above 8.00M set by memory.high of /docker/")


def test_kills_are_told_with_the_new_ones_among_them():
    assert verdicts(host(killed(1)), host(killed(3))) == (
        "the kernel killed 3 processes for want of memory so far, 2 of them since the sample before",
    )
    assert verdicts(host(killed(1)), host(killed(1))) == (
        "the kernel killed 1 process for want of memory so far",
    )


def test_a_kill_in_a_cgroup_that_is_gone_is_found_in_its_parents_count():
    before = host(killed(0), killed(0))
    before.group("/docker/short", inode=9, **killed(0))
    after = host(killed(0), killed(1))
    frame = derive(before.sample(at=100), after.sample(at=101))
    assert (
        "of these, 1 in a cgroup below that is gone: /docker/short"
        in cgroup(frame, "/docker").verdicts
    )


def test_a_kill_in_a_child_that_is_there_is_not_laid_on_one_that_is_gone():
    before = host(killed(0), killed(0))
    before.group("/docker/short", inode=9, **killed(0))
    after = host(killed(1), killed(1))
    said = cgroup(derive(before.sample(at=100), after.sample(at=101)), "/docker").verdicts
    assert not any("gone" in one for one in said)


def test_a_cgroup_of_the_same_path_made_anew_is_not_blamed_with_the_count_of_before():
    before, after = host(killed(7)), host(killed(2, inode=4))
    assert verdicts(before, after) == ("the kernel killed 2 processes for want of memory so far",)


@pytest.mark.parametrize(
    ("pressure", "said"),
    [
        ({"io": Pressure(line(20.0), line(12.0))}, "io stalls 20 % of the time, all of it 12 %"),
        ({"cpu": Pressure(line(34.0), None)}, "waits for a processor 34 % of the time"),
        ({"memory": Pressure(line(11.0), line(0.0))}, "stalls for memory 11 % of the time"),
    ],
)
def test_stalls_are_shares_of_time(pressure: dict[str, Pressure], said: str):
    assert verdicts(None, host({"pressure": pressure})) == (said,)


def test_tasks_near_their_limit_are_said():
    (said,) = verdicts(None, host({"pids": Pids(95, 100)}))
    assert said == f"95 tasks of 100 that pids.max of {LEAF} allows"


def test_files_read_again_are_said_in_bytes_a_second():
    def at(pages: int) -> Host:
        return host({"memory": Memory(current_bytes=1, stat={"workingset_refault_file": pages})})

    (said,) = verdicts(at(0), at(2560))
    assert said.startswith("reads 10.0M/s again that it had just dropped")


def test_every_binding_limit_names_its_cgroup():
    leaf = {"memory": Memory(current_bytes=1, high_bytes=9, swap_limit_bytes=7)}
    above = {"memory": Memory(current_bytes=1, high_bytes=8, swap_limit_bytes=7)}
    frame = derive(None, host(leaf, above).sample())
    said = cgroup(frame, LEAF).memory
    assert said is not None
    assert (said.high_bytes, said.high_limited_by) == (8, "/docker")
    assert (said.swap_limit_bytes, said.swap_limited_by) == (7, LEAF)


def test_sizes_and_counts_of_memory_stat_have_their_units_and_rates():
    def at(faults: int) -> Host:
        stat = {"slab": 5, "pgfault": faults, "workingset_refault_anon": 3, "thp_fault_alloc": 1}
        return host({"memory": Memory(current_bytes=1, stat=stat)})

    frame = derive(at(10).sample(at=100), at(30).sample(at=102))
    said = cgroup(frame, LEAF).memory
    assert said is not None
    assert said.stat == {
        "slab_bytes": 5,
        "pgfault": 30,
        "workingset_refault_anon": 3,
        "thp_fault_alloc": 1,
    }
    assert said.per_second == {"pgfault": 10.0}
