"""Events: what engines tell, what is seen to change between two samples, kept in order and once."""

from contextlib import closing
from datetime import timedelta

import pytest
from msgspec import structs

from collectors.engine import EngineEvent
from collectors.kernel.cgroups import Memory
from inspector.chain import Chain
from inspector.domains.events import columns
from inspector.domains.events.model import Account, Event
from inspector.errors import WrongUsage
from inspector.frame import Frame
from inspector.journal import Journal
from inspector.output import events as lines
from inspector.query import event_filter
from tests.inspector.canned import WHEN, A, B, Host, own


def host(*, paused: bool = False, oom_kills: int = 0, pid: int = 100) -> Host:
    made = Host()
    made.process(pid, 1, "app", ns=own(1), inside=[1], cgroup=f"/docker/{A}")
    made.group(
        f"/docker/{A}",
        frozen=paused,
        memory=Memory(current_bytes=1, limit_bytes=9, oom_kills=oom_kills),
    )
    return made


def events(frame: Frame) -> list[Event]:
    assert isinstance(frame.events, tuple)
    return list(frame.events)


def change(before: Host, after: Host) -> list[Event]:
    chain = Chain()
    chain.advance(before.sample(at=100))
    return events(chain.advance(after.sample(at=101)))


def told(topic: str, seconds: float = 0, **body: object) -> EngineEvent:
    return EngineEvent(WHEN + timedelta(seconds=seconds), "docker", topic, None, A, body)


def test_the_first_frame_observes_nothing():
    assert events(Chain().advance(host().sample())) == []


def test_a_container_that_appears_is_an_event_with_its_reasons():
    (event,) = change(Host(), host())
    assert (event.source, event.topic, event.container) == ("kernel", "appeared", A)
    assert event.event["pid"] == 100
    assert event.event["evidence"]


def test_a_container_that_goes_is_an_event():
    (event,) = change(host(), Host())
    assert (event.topic, event.container) == ("gone", A)


def test_a_restart_between_two_samples_is_an_end_and_a_beginning():
    assert [event.topic for event in change(host(), host(pid=200))] == ["gone", "appeared"]


def test_freezing_and_thawing_are_events():
    assert [event.topic for event in change(host(), host(paused=True))] == ["frozen"]
    assert [event.topic for event in change(host(paused=True), host())] == ["thawed"]


def test_a_kill_for_lack_of_memory_names_the_limit_and_whose_it_is():
    (event,) = change(host(oom_kills=1), host(oom_kills=3))
    assert event.topic == "oom"
    assert event.event == {
        "name": A[:12],
        "kills": 2,
        "limit_bytes": 9,
        "limited_by": f"/docker/{A}",
    }


def test_a_counter_that_went_back_is_no_event():
    assert change(host(oom_kills=3), host(oom_kills=0)) == []


def test_events_are_in_the_order_of_their_times():
    made = host()
    made.engine("docker", events=[told("start", 2), told("create", 1)])
    assert [event.topic for event in events(Chain().advance(made.sample()))] == ["create", "start"]


def test_an_event_that_is_told_again_is_there_once():
    chain = Chain(keep=10)
    for moment in (100, 101):
        made = host()
        made.engine("docker", events=[told("create"), told("create", name="x")])
        frame = chain.advance(made.sample(at=moment))
    assert len(events(frame)) == 2


def test_only_the_newest_are_kept():
    chain = Chain(keep=3)
    made = host()
    made.engine("docker", events=[told(str(number), number) for number in range(9)])
    assert [event.topic for event in events(chain.advance(made.sample()))] == ["6", "7", "8"]


def test_without_keeping_a_frame_has_the_new_ones_only():
    chain = Chain()
    made = host()
    made.engine("docker", events=[told("create")])
    assert len(events(chain.advance(made.sample(at=100)))) == 1
    assert events(chain.advance(host().sample(at=101))) == []


def test_a_line_of_text_has_no_control_characters():
    event = Event(
        timestamp=WHEN,
        source="docker",
        topic="exec\x1b[2J",
        engine_namespace=None,
        container="a\nb",
        event={"command": "\x1b]0;owned\x07\u202e"},
    )
    line = lines.line(event)
    assert line.isprintable()
    assert "2026-11-24T12:00:00.000000Z" in line
    assert "\\x1b[2J" in line


@pytest.mark.parametrize(
    ("terms", "fits"),
    [
        ([], True),
        (["topic=create"], True),
        (["topic=cre*"], True),
        (["topic=start"], False),
        (["topic=start", "topic=create"], True),
        (["topic=create", "source=podman"], False),
        (["container=aaaa"], True),
        (["container=web"], True),
        (["container=we"], False),
        (["WEB"], True),
        (["elsewhere"], False),
    ],
)
def test_a_filter_wants_every_key_and_any_of_its_values(terms, fits):
    event = Event(
        timestamp=WHEN,
        source="docker",
        topic="create",
        engine_namespace=None,
        container=A,
        event={"name": "web"},
    )
    assert event_filter(terms).matches(event) is fits


@pytest.mark.parametrize("term", ["colour=red", "colour!=red", "", "!"])
def test_a_filter_by_a_key_or_a_word_that_is_not_there_is_wrong_usage(term):
    with pytest.raises(WrongUsage, match=r"colour|no word"):
        event_filter([term])


@pytest.mark.parametrize(
    ("terms", "fits"),
    [
        (["source=shim"], True),
        (["source=shim 77"], True),
        (["source=77"], False),
        (["source!=shim"], False),
        (["source=containerd"], True),
        (["source!=containerd"], True),
        (["topic=process-*"], True),
        (["topic!=/tasks/*"], False),
        (["topic!=process-*"], True),
        (["topic!=process-*", "topic!=/tasks/exit"], False),
        (["topic=/tasks/*", "container!=web"], False),
        (["container=w*"], True),
        (["container=a*"], False),
        (["namespace="], True),
        (["!shim"], False),
        (["!podman", "exit"], True),
    ],
)
def test_a_filter_can_say_what_is_not_wanted_and_knows_kinds_of_sources_and_names(terms, fits):
    event = Event(
        timestamp=WHEN,
        source="shim 77",
        topic="/tasks/exit",
        engine_namespace=None,
        container=A,
        container_name="web",
        event={"pid": 5},
        seen_by=(
            Account("containerd", "/tasks/exit", WHEN),
            Account("kernel", "process-exit", WHEN),
        ),
    )
    assert event_filter(terms).matches(event) is fits


def test_an_event_has_its_containers_name_also_when_that_is_gone():
    chain = Chain()
    chain.advance(host().sample(at=100))
    gone = Host()
    gone.engine("docker", events=[told("other")])
    names = {
        event.topic: event.container_name for event in events(chain.advance(gone.sample(at=101)))
    }
    assert names == {"gone": A[:12], "other": A[:12]}


def test_a_container_that_no_frame_saw_has_the_name_that_its_engine_says():
    made = Host()
    actor = {"ID": B, "Attributes": {"name": "brief"}}
    made.engine(
        "docker",
        events=[EngineEvent(WHEN, "docker", "/container/die", None, B, {"Actor": actor})],
    )
    (event,) = events(Chain().advance(made.sample()))
    assert event.container_name == "brief"


def test_the_line_of_a_docker_event_has_what_its_topic_does_not_say():
    made = Host()
    attributes = {"name": "web", "image": "nginx", "exitCode": "137", "com.example.team": "shop"}
    body = {"status": "die", "Type": "container", "Action": "die", "scope": "local"}
    actor = {"Actor": {"ID": B, "Attributes": attributes}}
    made.engine(
        "docker", events=[EngineEvent(WHEN, "docker", "/container/die", None, B, body | actor)]
    )
    (event,) = events(Chain().advance(made.sample()))
    assert columns.summary(event) == "image nginx · exitCode 137"


def test_an_event_that_several_tell_is_there_once_and_its_accounts_only_when_raw():
    def frame(*, raw: bool) -> Frame:
        made = host()
        made.engine("docker", events=[told("/container/oom")])
        made.engine(
            "containerd", events=[structs.replace(told("/tasks/oom", 0.1), source="containerd")]
        )
        return Chain(raw=raw).advance(made.sample())

    (event,) = events(frame(raw=False))
    assert [one.source for one in event.seen_by] == ["containerd"]
    assert [one.source for one in events(frame(raw=True))] == ["docker", "containerd"]


def test_what_the_journal_has_is_before_what_is_new(tmp_path):
    for at, name in ((100, "one"), (200, "two")):
        with closing(Journal(str(tmp_path), boot_id="b", write=True)) as journal:
            chain = Chain(keep=10, journal=journal)
            made = host()
            made.engine("docker", events=[told(name, at)])
            frame = chain.advance(made.sample(at=at))
    assert [event.topic for event in events(frame)] == ["one", "two"]


def test_a_journal_that_cannot_be_written_is_a_problem_of_the_frame(tmp_path):
    (tmp_path / "file").write_text("")
    made = host()
    made.engine("docker", events=[told("one")])
    journal = Journal(str(tmp_path / "file" / "x"), boot_id="b", write=True)
    frame = Chain(journal=journal).advance(made.sample())
    assert [one.path for one in frame.errors] == [str(tmp_path / "file" / "x")]
