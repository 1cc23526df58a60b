"""Many containers begin and end at once: each event of each is told once, in the order of its causes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engines import daemons
from tests.engines.test_events import LIMITS, stream_of
from tests.live.engine import Engine as Embedded
from tests.streaming import Event, Stream, streaming

pytestmark = [pytest.mark.engine, pytest.mark.root]

Topics = tuple[str, ...]
DOCKERS: Topics = ("create", "start", "die", "destroy")
PODMANS: Topics = ("create", "start", "die", "remove")
EMBEDDED: Topics = (
    "/containers/create",
    "/tasks/create",
    "/tasks/start",
    "/tasks/exit",
    "/tasks/delete",
    "/containers/delete",
)
AT_ONCE = 4


def started(run: Callable[[int], str], number: int) -> list[str]:
    """Run so many containers, a few at once; return their ids."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(run, range(number)))


def check(stream: Stream, ids: list[str], life: Topics) -> None:
    """Every container's life was told, each step of it once, each after the one that caused it."""
    stream.until(lambda _: ended(stream, life[-1]) >= set(ids), None, seconds=60)
    for identifier in ids:
        events = stream.of(identifier)
        steps = [one["topic"] for one in events if one["topic"] in life]
        assert steps == list(life), (identifier, [one["topic"] for one in events])
        processes(events)
    # The kernel's buffer is for all that happens on the host, and says so where it was too short.
    lost = [one for one in stream.seen() if one["topic"] == "events-lost"]
    assert {one["source"] for one in lost} <= {"kernel"}
    identities = [
        (one["timestamp"], one["source"], one["topic"], one["container"], str(one["event"]))
        for one in stream.seen()
    ]
    assert len(identities) == len(set(identities))


def ended(stream: Stream, topic: str) -> set[str]:
    """Return the containers of which the last step was told."""
    return {one["container"] for one in stream.seen() if one["topic"] == topic}


def processes(events: list[Event]) -> None:
    """Each process of a container is born, runs something, and ends, in this order."""
    order = {"process-born": 0, "process-exec": 1, "process-exit": 2}
    lives: dict[int, list[int]] = {}
    for event in events:
        if event["topic"] in order:
            lives.setdefault(event["event"]["pid"], []).append(order[event["topic"]])
    for pid, steps in lives.items():
        assert steps == sorted(steps), pid
        assert steps.count(0) <= 1, pid
        assert steps.count(2) <= 1, pid  # the first process's is joined to what its engine says


@pytest.mark.parametrize(
    ("name", "number", "life", "limits"),
    [("docker", 24, DOCKERS, ()), ("podman", 24, PODMANS, LIMITS)],
)
def test_no_event_of_many_short_lives_is_lost_told_twice_or_out_of_order(
    name: str,
    number: int,
    life: Topics,
    limits: tuple[str, ...],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    engine: daemons.Engine = request.getfixturevalue(name)

    def run(_: int) -> str:
        identifier = engine(
            *("run", "--detach", "--network", "none", *limits, daemons.IMAGE),
            *("sh", "-c", "/bin/busybox true; exit 3"),
        )
        engine("wait", identifier)
        engine("rm", identifier)
        return identifier

    with stream_of(tmp_path, engine.environment) as stream:
        ids = started(run, number)
        check(stream, ids, tuple(f"/container/{one}" for one in life))


def test_the_embedded_engines_short_lives_are_told_as_well(tmp_path: Path) -> None:
    engine = Embedded(tmp_path / "root", tmp_path / "state")

    def run(number: int) -> str:
        identifier = engine(
            "create", "--name", f"load-{number}", "@host", "sh", "-c", "/bin/true; exit 3"
        )
        engine("start", identifier)
        engine.cinspect("wait", identifier)
        engine("rm", identifier)
        return identifier

    with streaming(tmp_path / "output", engine.options) as stream:
        ids = started(run, 16)
        check(stream, ids, EMBEDDED)
