"""Which accounts are of the same event, and in which order events are told."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from inspector.domains.events.model import Event
from inspector.domains.events.same import Joiner
from tests.inspector.canned import WHEN, A, B


def account(
    source: str, topic: str, at: float = 0, *, container: str | None = A, **body: object
) -> Event:
    return Event(
        timestamp=WHEN + timedelta(seconds=at),
        source=source,
        topic=topic,
        engine_namespace=None,
        container=container,
        event=body,
    )


def docker(action: str, at: float = 0, *, container: str = A, **attributes: str) -> Event:
    actor = {"ID": container, "Attributes": attributes}
    return account("docker", f"/container/{action}", at, container=container, Actor=actor)


def joined(*accounts: Event) -> list[tuple[str, str, list[str]]]:
    joiner = Joiner(keep=100)
    joiner.add(accounts)
    return [
        (one.source, one.topic, [f"{also.source} {also.topic}" for also in one.seen_by])
        for one in joiner.events()
    ]


DIE = docker("die", 0.05, exitCode="0")
EXIT = account("containerd", "/tasks/exit", 0.02, container_id=A, id=A, pid=5)
KERNEL = account("kernel", "process-exit", pid=5, exit_code=0, first=True)
GONE = account("kernel", "gone", 0.9, pid=5)


def test_an_end_that_docker_containerd_and_the_kernel_tell_is_one_event():
    assert joined(KERNEL, EXIT, DIE, GONE) == [
        (
            "docker",
            "/container/die",
            ["kernel process-exit", "containerd /tasks/exit", "kernel gone"],
        )
    ]


@given(st.permutations([KERNEL, EXIT, DIE, GONE]))
def test_in_whichever_order_they_come(accounts):
    ((source, _, seen_by),) = joined(*accounts)
    assert (source, len(seen_by)) == ("docker", 3)


def test_two_ends_of_one_container_are_two_events():
    again = [
        docker("die", 1.05),
        account("containerd", "/tasks/exit", 1.02, container_id=A, id=A, pid=6),
    ]
    assert [len(seen_by) for _, _, seen_by in joined(EXIT, DIE, *again)] == [1, 1]


def test_another_containers_end_or_another_pids_is_another_event():
    assert len(joined(DIE, docker("die", 0.05, container=B))) == 2
    other = account("kernel", "process-exit", pid=6, first=True)
    assert len(joined(EXIT, other)) == 2


def test_what_is_further_apart_is_another_event():
    assert len(joined(EXIT, docker("die", 2.5))) == 2
    assert len(joined(EXIT, account("kernel", "gone", 2.5, pid=5))) == 1
    assert len(joined(EXIT, account("kernel", "gone", 7, pid=5))) == 2


def test_a_commands_end_is_the_same_by_its_exec_id_or_its_pid_only():
    ended = docker("exec_die", 0.03, execID="e1")
    task = account("containerd", "/tasks/exit", 0.02, container_id=A, id="e1", pid=9)
    process = account("kernel", "process-exit", 0.01, pid=9)
    other = account("kernel", "process-exit", 0.01, pid=10)
    assert len(joined(ended, other)) == 2
    found = joined(ended, process, other, task)
    assert sorted(len(seen_by) for _, _, seen_by in found) == [0, 2]


def test_the_end_of_a_command_is_none_of_the_container():
    task = account("containerd", "/tasks/exit", container_id=A, id="e1", pid=9)
    assert len(joined(DIE, task)) == 2


def test_a_shims_word_is_shown_before_containerds_and_the_kernels():
    shim = account("shim 77", "/tasks/oom", 0.1, container_id=A)
    kernel = account("kernel", "oom", 0.4, kills=1)
    assert joined(kernel, shim) == [("shim 77", "/tasks/oom", ["kernel oom"])]


def test_what_has_no_container_or_another_topic_stands_for_itself():
    pull = account("docker", "/image/pull", container=None)
    assert len(joined(pull, account("containerd", "/images/create", container=None))) == 2
    assert len(joined(account("kernel", "limit"), account("docker", "/container/update"))) == 2


def test_without_joining_each_account_is_one():
    joiner = Joiner(keep=10, joining=False)
    joiner.add([KERNEL, EXIT, DIE])
    assert len(joiner.events()) == 3


def test_events_are_in_the_order_of_their_times_however_late_they_come():
    joiner = Joiner(keep=10)
    joiner.add([account("a", "x", 3), account("a", "y", 1)])
    joiner.add([account("a", "z", 2)])
    assert [one.topic for one in joiner.events()] == ["y", "z", "x"]


def test_what_is_young_waits_and_what_is_far_ahead_does_not():
    joiner = Joiner(keep=10)
    joiner.add([account("a", topic, at) for topic, at in (("old", 0), ("new", 2), ("mad", 3600))])
    now = WHEN.timestamp()
    assert [one.topic for one in joiner.take(now + 1)] == ["old", "mad"]
    assert [one.topic for one in joiner.take(now + 2)] == ["new"]


def test_an_account_that_comes_when_the_event_was_told_is_not_told_again():
    joiner = Joiner(keep=10)
    joiner.add([DIE])
    assert len(joiner.take()) == 1
    joiner.add([EXIT])
    assert joiner.take() == []


def test_processes_push_out_one_another_before_anything_else():
    joiner = Joiner(keep=8)
    joiner.add([account("docker", f"/container/x{at}", at) for at in range(6)])
    joiner.add([account("kernel", "process-born", 10 + at, pid=at) for at in range(50)])
    topics = [one.topic for one in joiner.events()]
    assert len(topics) == 8
    assert topics.count("process-born") == 2


ACCOUNTS = st.builds(
    account,
    st.sampled_from(["docker", "containerd", "kernel", "shim 1", "podman"]),
    st.sampled_from(
        ["/container/die", "/tasks/exit", "process-exit", "gone", "/container/exec_die", "other"]
    ),
    st.floats(0, 20),
    container=st.sampled_from([A, B, None]),
    pid=st.integers(0, 3),
    id=st.sampled_from([A, "e1", None]),
)


@given(st.lists(ACCOUNTS, max_size=40))
def test_no_account_is_lost_and_none_is_told_twice(accounts):
    joiner = Joiner(keep=1000)
    for one in accounts:
        joiner.add([one])
    events = joiner.events()
    assert sum(1 + len(one.seen_by) for one in events) == len(accounts)
    times = [one.timestamp for one in events]
    assert times == sorted(times)
    told = sorted(
        (str(one.timestamp), one.source, one.topic)
        for event in events
        for one in (event, *event.seen_by)
    )
    assert told == sorted((str(one.timestamp), one.source, one.topic) for one in accounts)


def test_an_engines_word_is_told_though_the_kernels_was_told_before_it():
    joiner = Joiner(keep=100)
    joiner.add([account("kernel", "appeared")])
    assert [one.topic for one in joiner.take()] == ["appeared"]
    joiner.add([account("shim 5", "/tasks/start", 2.5, pid=5)])
    (late,) = joiner.take()
    assert (late.topic, [one.topic for one in late.seen_by]) == ("/tasks/start", ["appeared"])
    joiner.add([docker("start", 1.0)])
    joiner.add([account("containerd", "/tasks/start", 1.0, pid=5)])
    assert [one.topic for one in joiner.take()] == ["/container/start"]
    assert joiner.take() == []
