"""A frame that is derived from what is known of the one before says what one derived afresh does."""

import gc
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.kernel import processes
from collectors.kernel.cgroups import Memory
from collectors.kernel.processes import Process
from collectors.registry import collectors
from collectors.root import Root
from inspector.chain import Chain
from inspector.derive import derive
from inspector.discovery.standing import Standings
from inspector.domains.cgroups.window import NOTHING, Window
from inspector.frame import Frame
from inspector.memos import Memo, Memos
from inspector.sample import Sample
from inspector.sampler import Sampler
from tests.inspector.canned import A, Host, own
from tests.inspector.churn import Churn

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures").glob("*/proc"))
SECTIONS = {"containers", "namespaces", "cgroups", "mounts", "processes", "network"}


def same(frame: Frame, other: Frame) -> None:
    """Fail where two frames differ, in the order of anything too."""
    one, another = msgspec.json.encode(frame), msgspec.json.encode(other)
    if one != another:
        assert msgspec.json.decode(one) == msgspec.json.decode(another)
    assert one == another


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), v1=st.booleans(), calm=st.booleans())
def test_a_frame_derived_with_memos_says_what_one_without_does(seed: int, v1: bool, calm: bool):
    churn = Churn(random.Random(seed), v1=v1, calm=calm)
    memos, previous = Memos(), None
    window = Window(seconds=3.0, apart=0.9)
    for _ in range(12):
        sample = churn.sample()
        past = window.add(sample) if seed % 2 else NOTHING
        same(derive(previous, sample, memos, past), derive(previous, sample, None, past))
        previous = sample
        churn.happen()


@pytest.mark.parametrize("proc", FIXTURES, ids=lambda path: path.parent.name)
async def test_of_a_recorded_host_too(proc: Path):
    root = Root(str(proc.parent))
    sampler = Sampler(root, collectors(root))
    memos, previous = Memos(), None
    for _ in range(3):
        sample = await sampler.sample(SECTIONS)
        same(derive(previous, sample, memos), derive(previous, sample))
        previous = sample


async def test_of_this_host_too():
    root = Root()
    sampler = Sampler(root, collectors(root))
    memos, previous = Memos(), None
    for _ in range(4):
        sample = await sampler.sample(SECTIONS)
        same(derive(previous, sample, memos), derive(previous, sample))
        previous = sample


def three(sample: Sample, later: Sample, last: Sample) -> tuple[Frame, Frame, Memos]:
    memos = Memos()
    derive(None, sample, memos)
    second = derive(sample, later, memos)
    return second, derive(later, last, memos), memos


def host() -> Host:
    made = Host()
    made.process(100, 1, "web", cgroup=f"/docker/{A}", ns=own(1), inside=(1,))
    made.group("/")
    made.group(f"/docker/{A}", inode=2)
    return made


def test_where_nothing_changed_nothing_is_derived_again():
    made = host()
    second, third, memos = three(*(made.sample(at=at) for at in (100.0, 101.0, 102.0)))
    assert memos.made == {}
    for name in ("containers", "processes", "cgroups", "namespaces", "mounts"):
        for one, kept in zip(getattr(second, name), getattr(third, name), strict=True):
            assert one is kept, name


def test_a_process_that_ran_costs_its_own_row_alone():
    made = host()
    first, later = made.sample(at=100.0), made.sample(at=101.0)
    made.processes[-1] = msgspec.structs.replace(made.processes[-1], utime_ticks=50)
    second, third, _ = three(first, later, made.sample(at=102.0))
    changed = [
        one.pid
        for one, kept in zip(third.processes, second.processes, strict=True)
        if one is not kept
    ]
    assert changed == [100]
    assert [one.busy_cores for one in third.processes if one.pid == 100] == [0.5]


def test_a_memo_forgets_what_a_frame_did_not_ask_for():
    memo = Memo[str]()
    memo.of("a", (1,), lambda: "one")
    memo.begin()
    assert memo.of("a", (1,), lambda: "another") == "one"
    memo.begin()
    memo.begin()
    assert memo.of("a", (1,), lambda: "another") == "another"


def test_what_need_not_be_asked_for_is_kept_for_when_it_is():
    made = host()
    memos, previous = Memos(), None
    for at in (100.0, 101.0, 102.0, 103.0):
        sample = made.sample(at=at)
        derive(previous, sample, memos)
        previous = sample
    made.process(200, 1, "born")
    derive(previous, made.sample(at=104.0), memos)
    of_the_host = 8  # who is in them has changed; in the container's own nobody's come or gone
    assert memos.made["namespaces"] == of_the_host


def test_a_worker_of_the_kernels_that_does_something_else_changes_nothing():
    def listed(worker: str, program: str) -> tuple[Process, ...]:
        host = Host()
        host.process(7, 2, worker, ns=own(0), inside=[7], kernel=True)
        host.process(8, 1, program, ns=own(0), inside=[8])
        return host.sample().get(processes.KEY).processes

    standings = Standings()
    first = standings.of(listed("kworker/0:1-events", "sh"))
    second = standings.of(listed("kworker/0:1-mm_percpu_wq", "sh"))
    assert second.standing is first.standing
    assert (set(second.changed), second.altered) == ({1, 2, 7, 8}, False)
    other = standings.of(listed("kworker/0:1-events", "bash"))
    assert [pid for pid, one in other.standing.items() if one is not first.standing[pid]] == [8]
    assert other.altered


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2), st.booleans()), max_size=6),
        max_size=6,
    )
)
def test_a_roll_tells_how_the_processes_differ_from_those_before(
    rolls: list[list[tuple[int, int, bool]]],
):
    """Each process is a pid, counters, and whether its program is another one; they may be in any order."""
    made: dict[tuple[int, int, bool], Process] = {}
    host, standings, last = Host(), Standings(), None
    for told in rolls:
        listed: list[Process] = []
        for pid, ticks, other in told:
            if (pid, ticks, other) not in made:
                one = host.process(pid, 1, "b" if other else "a", ns=own(0), inside=[pid])
                made[pid, ticks, other] = msgspec.structs.replace(one, utime_ticks=ticks)
            listed.append(made[pid, ticks, other])
        roll = standings.of(tuple(listed))
        assert dict(roll.newest) == {one.pid: one for one in listed}
        assert [(pid, one.comm) for pid, one in roll.standing.items()] == [
            (pid, one.comm) for pid, one in roll.newest.items()
        ]
        if roll.before is not None:
            assert last is not None
            assert (roll.before.listed, roll.before.newest) == (last.listed, last.newest)
            was, now = last.newest, roll.newest
            assert {one.pid for one in roll.born} == now.keys() - was.keys()
            assert {one.pid for one in roll.gone} == was.keys() - now.keys()
            stayed = now.keys() & was.keys()
            assert set(roll.changed) == {pid for pid in stayed if now[pid] is not was[pid]}
            assert roll.altered == any(now[pid].comm != was[pid].comm for pid in stayed)
            assert (roll.standing is last.standing) <= (now.keys() == was.keys())
        last = roll


def copied(sample: Sample) -> Sample:
    """Return a sample that says the same, in which no record is an object that another one has."""

    def copy(one: object) -> object:
        if isinstance(one, msgspec.Struct):
            return type(one)(**{name: copy(getattr(one, name)) for name in one.__struct_fields__})
        if isinstance(one, dict):
            return {key: copy(value) for key, value in one.items()}
        return tuple(map(copy, one)) if type(one) is tuple else one

    readings = {name: copy(reading) for name, reading in sample.readings.items()}
    return msgspec.structs.replace(sample, readings=readings)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), v1=st.booleans(), calm=st.booleans())
def test_of_records_that_are_the_same_objects_is_said_what_is_of_copies(
    seed: int, v1: bool, calm: bool
):
    """Events, and what grew in the last minute, are of more than two samples."""
    churn = Churn(random.Random(seed), v1=v1, calm=calm)
    chain, other = Chain(raw=True), Chain(raw=True)
    for _ in range(12):
        sample = churn.sample()
        frames = chain.advance(sample), other.advance(copied(sample))
        same(*(msgspec.structs.replace(one, cost=frames[0].cost) for one in frames))
        churn.happen()


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_looked_for_after_a_frame_as_before_it_and_not_while_it_is_made(
    enabled: bool, monkeypatch: pytest.MonkeyPatch
):
    seen: list[bool] = []

    def failing(*_: object) -> Frame:
        seen.append(gc.isenabled())
        raise ValueError("it fails")

    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        Chain().advance(host().sample())
        assert gc.isenabled() is enabled
        monkeypatch.setattr("inspector.chain.derive", failing)
        with pytest.raises(ValueError, match="it fails"):
            Chain().advance(host().sample())
        assert (seen, gc.isenabled()) == ([False], enabled)
    finally:
        (gc.enable if was else gc.disable)()


def test_a_limit_of_a_cgroup_that_others_are_in_too_is_seen():
    made = Host()
    made.process(100, 1, "web", cgroup="/shared", ns=own(1), inside=(1,))
    made.process(101, 1, "other", cgroup="/shared")
    made.group("/")
    made.group("/shared", inode=2, memory=Memory(limit_bytes=5000))
    memos, previous = Memos(), None
    limits: list[int | None] = []
    for number in range(6):
        if number == 4:
            shared = msgspec.structs.replace(made.cgroups[-1], memory=Memory(limit_bytes=4000))
            made.cgroups[-1] = shared
        sample = made.sample(at=100.0 + number)
        frame = derive(previous, sample, memos)
        same(frame, derive(previous, sample))
        limits += [one.resources.memory.limit_bytes for one in frame.containers]
        previous = sample
    assert limits == [5000] * 4 + [4000] * 2
