"""Events of what the kernel told between two frames: whose processes, mounts and lacks of memory are."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collectors.engine import EngineEvent
from collectors.formats.proc_event import Kind, Told
from collectors.kernel import happened
from collectors.kernel.cgroups import Memory
from collectors.kernel.happened import Birth, HappenedReading, MountChange, Noticed
from inspector.chain import Chain
from inspector.domains.events import processes
from inspector.domains.events.model import Event
from inspector.sample import Sample
from tests.inspector.canned import WHEN, A, B, Host, mount, own

LEAF = f"/docker/{A}"
AT = WHEN.timestamp()


def web(*pids: int, first: int = 100) -> Host:
    """Return a host with one container, whose processes are these and the first."""
    host = Host()
    host.process(first, 1, "app", ns=own(1), inside=[1], cgroup=LEAF)
    for pid in pids:
        host.process(pid, first, "child", ns=own(1), inside=[pid], cgroup=LEAF)
    return host


def birth(kind: Kind, pid: int, *, parent: int = 0, status: int = 0, **more: bytes) -> Birth:
    return Birth(Told(kind, 0, 0, 5_000_000_000, pid, pid, parent, status), AT + 100.5, **more)


def sample(host: Host, reading: HappenedReading | None = None, *, at: float = 100.0) -> Sample:
    taken = host.sample(at=at)
    if reading is None:
        return taken
    return structs.replace(taken, readings={**taken.readings, happened.KEY.name: reading})


def told(before: Host, after: Host, reading: HappenedReading) -> Sequence[Event]:
    chain = Chain()
    chain.advance(sample(before))
    frame = chain.advance(sample(after, reading, at=101))
    assert isinstance(frame.events, tuple)
    return frame.events


def of_processes(before: Host, after: Host, *births: Birth) -> list[tuple[str, object, object]]:
    found = told(before, after, HappenedReading(processes=births))
    return [
        (event.topic, event.container, event.event.get("pid"))
        for event in found
        if event.topic in processes.TOPICS
    ]


def test_what_comes_and_goes_between_two_frames_is_its_parents():
    assert of_processes(
        web(),
        web(),
        birth("fork", 200, parent=100),
        birth("exec", 200, command=b"true\0"),
        birth("fork", 201, parent=200),
        birth("exit", 201),
        birth("exit", 200, status=256),
    ) == [
        ("process-born", A, 200),
        ("process-exec", A, 200),
        ("process-born", A, 201),
        ("process-exit", A, 201),
        ("process-exit", A, 200),
    ]


def test_processes_of_the_host_are_not_told_of():
    assert of_processes(web(), web(), birth("fork", 300, parent=1), birth("exit", 300)) == []


def test_the_first_process_is_the_containers_though_it_was_born_outside():
    found = told(
        Host(),
        web(),
        HappenedReading(
            processes=(
                birth("fork", 50, parent=1),
                birth("fork", 100, parent=50),
                birth("exec", 100, command=b"app\0--now\0"),
                birth("exit", 50),
            )
        ),
    )
    mine = [event for event in found if event.topic in processes.TOPICS]
    assert [(event.topic, event.event["pid"]) for event in mine] == [
        ("process-born", 100),
        ("process-exec", 100),
    ]
    assert mine[1].event["command"] == ["app", "--now"]
    assert mine[1].event["first"] is True
    assert mine[1].monotonic_seconds == 5


def test_a_pid_that_is_used_again_is_not_the_containers_before_it_was():
    assert of_processes(
        Host(),
        web(),
        birth("exit", 100),  # of the host
        birth("fork", 100, parent=1),
        birth("exec", 100),
    ) == [("process-born", A, 100), ("process-exec", A, 100)]


def test_a_program_in_a_containers_cgroup_is_its_own_however_short_it_lives():
    cgroup = f"0::{LEAF}/inner\n".encode()
    assert of_processes(
        web(),
        web(),
        birth("fork", 400, parent=1),
        birth("exec", 400, cgroup=cgroup),
        birth("exit", 400),
    ) == [("process-exec", A, 400), ("process-exit", A, 400)]


def test_a_whole_container_between_two_frames_is_known_by_its_cgroup():
    assert of_processes(
        Host(),
        Host(),
        birth("exec", 400, cgroup=f"5:memory:/docker/{B}\n".encode()),
        birth("exit", 400),
    ) == [("process-exec", B, 400), ("process-exit", B, 400)]


def test_a_cgroup_that_is_shared_with_the_host_makes_nobody_a_containers():
    host = Host()
    host.process(100, 1, "app", ns=own(1), inside=[1], cgroup="/user.slice")
    assert of_processes(host, host, birth("exec", 400, cgroup=b"0::/user.slice\n")) == []


def test_an_engines_event_tells_whose_a_pid_is():
    before, after = Host(), Host()
    after.engine(
        "containerd",
        events=[
            EngineEvent(
                WHEN, "containerd", "/tasks/exec-started", "ns", B, {"exec_id": "e", "pid": 77}
            )
        ],
    )
    chain = Chain()
    chain.advance(sample(before))
    frame = chain.advance(
        sample(after, HappenedReading(processes=(birth("exit", 77, status=9),)), at=101)
    )
    assert isinstance(frame.events, tuple)
    (event,) = [event for event in frame.events if event.topic == "process-exit"]
    assert (event.container, event.event) == (B, {"pid": 77, "signal": 9})


def test_what_an_engine_tells_a_frame_later_is_whose_it_was():
    started = EngineEvent(WHEN, "containerd", "/tasks/start", "ns", B, {"pid": 77})
    births = (
        birth("fork", 77, parent=1),
        birth("exec", 77, command=b"sh\0"),
        birth("fork", 78, parent=77),
        birth("exit", 78),
        birth("exit", 77, status=3 << 8),
        birth("fork", 79, parent=1),
    )
    chain = Chain()
    chain.advance(sample(Host()))
    first = chain.advance(sample(Host(), HappenedReading(processes=births), at=101))
    assert first.events == ()
    later = Host()
    later.engine("containerd", events=[started])
    frame = chain.advance(sample(later, HappenedReading(), at=102))
    assert isinstance(frame.events, tuple)
    mine = [event for event in frame.events if event.topic in processes.TOPICS]
    assert [(event.topic, event.event["pid"]) for event in mine] == [
        ("process-born", 77),
        ("process-exec", 77),
        ("process-born", 78),
        ("process-exit", 78),
        ("process-exit", 77),
    ]
    assert mine[-1].event == {"pid": 77, "exit_code": 3, "first": True}
    last = chain.advance(sample(later, HappenedReading(), at=103))
    assert last.events == ()


def test_a_flood_is_cut_and_what_is_left_out_is_counted(monkeypatch):
    monkeypatch.setattr(processes, "MOST", 3)
    births = [birth("fork", 1000 + number, parent=100) for number in range(10)]
    found = told(web(), web(), HappenedReading(processes=tuple(births)))
    mine = [event for event in found if event.topic == "process-born"]
    assert len(mine) == 4
    assert mine[-1].event == {"left_out": 7}


def test_what_was_lost_is_said():
    (event,) = told(web(), web(), HappenedReading(lost=12))
    assert (event.topic, event.source) == ("events-lost", "kernel")
    assert event.event["at_least"] == 12


def test_after_a_loss_the_next_frame_is_right_again():
    chain = Chain()
    chain.advance(sample(web()))
    chain.advance(sample(web(200), HappenedReading(lost=5), at=101))
    frame = chain.advance(sample(web(), HappenedReading(processes=(birth("exit", 200),)), at=102))
    assert isinstance(frame.events, tuple)
    assert [(event.topic, event.container) for event in frame.events] == [("process-exit", A)]


def test_a_mount_is_the_containers_that_has_the_namespace():
    change = MountChange("mounted", own(1)["mnt"], 100, mount(50, "/data"))
    (event,) = told(web(), web(), HappenedReading(mounts=((AT + 100.2, change),)))
    assert (event.topic, event.container) == ("mounted", A)
    assert event.timestamp.timestamp() == AT + 100.2


def test_a_kill_in_a_cgroup_of_version_1_that_is_gone_is_the_containers():
    notice = Noticed("oom", LEAF, 1, gone=True)
    found = told(web(), Host(), HappenedReading(memory=((AT + 100.2, notice),)))
    (event,) = [event for event in found if event.topic == "oom"]
    assert (event.container, event.event["kills"]) == (A, 1)


def test_pressure_is_told_once_in_a_while():
    notices = tuple((AT + 100 + at, Noticed("pressure", LEAF, 1, gone=False)) for at in range(15))
    found = told(web(), web(), HappenedReading(memory=notices))
    assert [event.topic for event in found] == ["memory-pressure"] * 2


def counted(kills: int, *, leaf: bool = True, **events: int) -> Host:
    """Return a host whose container's cgroup has these counts, and those above it too."""
    host = Host()
    host.group("/", inode=1)
    memory = Memory(current_bytes=1, oom_kills=kills, events={"oom_kill": kills, **events})
    host.group("/docker", inode=2, memory=memory)
    if leaf:
        host.process(100, 1, "app", ns=own(1), inside=[1], cgroup=LEAF)
        host.group(LEAF, inode=3, memory=memory)
    return host


def changes(before: Host, after: Host) -> list[tuple[str, str | None, object]]:
    found = told(before, after, HappenedReading())
    return [
        (event.topic, event.container, event.event.get("path"))
        for event in found
        if event.topic not in {"gone", "namespace-gone", "appeared", "namespace-born"}
    ]


def test_a_count_that_grew_is_told_where_it_happened_and_not_above():
    assert changes(counted(0, high=1), counted(0, high=4)) == [("memory-high", A, LEAF)]


def test_a_kill_in_a_container_is_told_once():
    (event,) = changes(counted(0), counted(2))
    assert event[:2] == ("oom", A)


def test_a_kill_in_a_cgroup_that_is_gone_is_told_through_the_one_above_it():
    found = told(counted(0), counted(1, leaf=False), HappenedReading())
    (event,) = [event for event in found if event.topic == "oom"]
    assert (event.container, event.event) == (A, {"path": "/docker", "kills": 1, "gone": [LEAF]})


def test_a_cgroup_at_its_limit_is_told_once_in_a_while_with_all_counts():
    chain, found = Chain(), []
    for at in range(25):
        frame = chain.advance(sample(counted(0, max=at), at=100.0 + at))
        assert isinstance(frame.events, tuple)
        found += [event.event["count"] for event in frame.events if event.topic == "memory-max"]
    assert found == [1, 10, 10]


def test_a_cgroup_that_was_made_anew_counts_from_nothing():
    def made(inode: int, high: int) -> Host:
        host = Host()
        host.group("/")
        host.group("/a", inode=inode, memory=Memory(events={"high": high}))
        return host

    assert changes(made(7, 5), made(8, 2)) == [("memory-high", None, "/a")]
    assert changes(made(7, 5), made(7, 2)) == []


def test_who_is_in_a_cgroup_and_that_it_is_frozen_is_told_of_the_hosts_own():
    def made(*, populated: bool, frozen: bool) -> Host:
        host = Host()
        host.group("/")
        host.group("/job", inode=2, populated=populated, frozen=frozen)
        return host

    before = made(populated=True, frozen=False)
    assert changes(before, made(populated=False, frozen=True)) == [
        ("cgroup-emptied", None, "/job"),
        ("cgroup-frozen", None, "/job"),
    ]


@given(
    st.lists(
        st.builds(
            birth,
            st.sampled_from(["fork", "exec", "exit", "coredump", "other"]),
            st.integers(0, 300),
            parent=st.integers(0, 300),
            status=st.integers(0, 0xFFFF),
            command=st.binary(max_size=20),
            cgroup=st.binary(max_size=40),
        ),
        max_size=30,
    )
)
def test_whatever_is_told_in_whichever_order_is_a_containers_or_left_out(births):
    for event in told(web(), web(101), HappenedReading(processes=tuple(births))):
        assert event.topic not in processes.TOPICS or event.container is not None
