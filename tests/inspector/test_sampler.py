"""Taking samples: who is asked, what a source that fails costs, deadlines, cancellation."""

import asyncio
import contextlib
import gc
import threading

import pytest

from collectors.collector import FileCollector, Key
from collectors.engine import EngineReading
from collectors.errors import Denied, Missing, Problem, Unavailable
from collectors.kernel import namespaces
from collectors.kernel.namespaces import Membership, NamespacesReading
from collectors.registry import collectors
from collectors.root import Root
from inspector.sampler import NEEDS, Deadlines, Sampler, representatives
from runtime.errors import FormatError
from tests.inspector.canned import HOST

NOWHERE = Root("/nonexistent")
HOST_INODES = tuple(HOST.values())


class Source:
    """A collector or an engine that answers as it is told to."""

    def __init__(self, name, answer):
        self.name = name
        self.address = f"/run/{name}.sock"
        self.answer = answer
        self.asked = 0

    async def collect(self):
        self.asked += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        if callable(self.answer):
            return await self.answer()
        return self.answer


async def for_ever():
    await asyncio.sleep(3600)


async def problems(answer):
    sampler = Sampler(NOWHERE, [Source("host", answer)], deadlines=Deadlines(0.05, 0.05))
    sample = await sampler.sample(())
    return [one for one in sample.problems if one.path != "/proc/1/mountinfo"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (for_ever, "timeout"),
        (Denied("/proc/1", "open", "no"), "denied"),
        (Missing("/proc/1", "open", "no"), "missing"),
        (FormatError("what is this"), "format"),
        (ZeroDivisionError("x"), "bug"),
    ],
)
async def test_a_source_that_fails_is_a_problem_not_an_end(answer, kind):
    (problem,) = await problems(answer)
    assert problem.error == kind


async def test_problems_within_a_reading_are_the_samples_too():
    class Reading:
        problems = (Problem("/a", "open", "denied", "no"),)

    assert await problems(Reading()) == [Problem("/a", "open", "denied", "no")]


async def test_no_garbage_is_looked_for_while_a_first_sample_is_taken():
    seen = []

    async def answer():
        seen.append(gc.isenabled())
        raise Denied("/proc/1", "open", "no")

    sampler = Sampler(NOWHERE, [Source("host", answer)])
    assert gc.isenabled()
    for _ in range(2):
        await sampler.sample(())
        assert gc.isenabled()
    assert seen == [False, True]


async def test_the_same_problem_of_two_readings_is_told_once():
    class Reading:
        problems = (Problem("/a", "open", "denied", "no"),)

    sampler = Sampler(NOWHERE, [Source("host", Reading()), Source("cgroups", Reading())])
    sample = await sampler.sample(("cgroups",))
    assert len(sample.problems) == 1


async def test_a_source_that_did_not_answer_is_let_be_for_a_while():
    source = Source("host", for_ever)
    sampler = Sampler(NOWHERE, [source], deadlines=Deadlines(0.05, 0.05))
    await sampler.sample(())
    again = await sampler.sample(())
    assert source.asked == 1
    assert any("let be" in problem.message for problem in again.problems)


async def test_an_engine_that_is_not_there_is_no_problem():
    engine = Source("docker", Missing("/run/docker.sock", "connect", "no such file"))
    sample = await Sampler(NOWHERE, [Source("host", 1)], [engine]).sample(())
    assert [problem for problem in sample.problems if "docker" in problem.path] == []
    (answer,) = sample.engines
    assert (answer.reading, answer.error) == (None, None)


async def test_an_engine_that_does_not_answer_is_a_problem_and_an_error_of_its_own():
    engine = Source("docker", Unavailable("/run/docker.sock", "connect", "refused"))
    sample = await Sampler(NOWHERE, [], [engine]).sample(())
    assert sample.engines[0].error == "refused"
    assert any(problem.path == "/run/docker.sock" for problem in sample.problems)


async def test_a_slow_engine_does_not_hold_up_the_others():
    slow = Source("docker", for_ever)
    quick = Source("podman", EngineReading("podman", "4", None))
    sampler = Sampler(NOWHERE, [], [slow, quick], deadlines=Deadlines(1, 0.05))
    sample = await sampler.sample(())
    assert [answer.reading is not None for answer in sample.engines] == [False, True]
    assert sample.wall_seconds < 1


@pytest.mark.parametrize("section", sorted(NEEDS))
async def test_a_section_asks_only_what_it_needs(section):
    sources = [Source(one.name, object()) for one in collectors(Root(), listen=True)]
    await Sampler(NOWHERE, sources).sample((section,))
    asked = {source.name for source in sources if source.asked}
    assert asked == {"host", *NEEDS[section]} - {"members"}


async def test_every_need_is_a_collector():
    known = {one.name for one in collectors(Root(), listen=True)} | {"members"}
    assert {name for names in NEEDS.values() for name in names} <= known


async def test_a_reading_is_taken_off_the_loop():
    def reader(root):
        return threading.current_thread()

    key = Key("host", threading.Thread)
    sample = await Sampler(NOWHERE, [FileCollector(key, reader, NOWHERE)]).sample(())
    assert sample.get(key) is not threading.main_thread()


async def test_cancelling_ends_every_source():
    stopped = []

    async def watched():
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.append(1)

    sampler = Sampler(NOWHERE, [Source("host", watched)], [Source("docker", watched)])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await sampler.sample(())
    assert len(stopped) == 2


def test_one_process_stands_for_each_set_of_namespaces_the_eldest():
    mine = (7, *HOST_INODES[1:])
    spaces = NamespacesReading(
        namespaces=(),
        memberships=(
            Membership(1, 1, HOST_INODES),
            Membership(5, 50, HOST_INODES),
            Membership(9, 10, mine),
            Membership(8, 11, mine),
            Membership(6, 6, (None,) * 8),
        ),
        own=HOST_INODES,
        init=HOST_INODES,
    )
    assert representatives(spaces) == (9,)


async def test_cost_counts_the_files_that_were_read():
    root = Root("/nonexistent")

    def reader(root):
        with contextlib.suppress(Missing):
            root.read("proc/stat")

    sample = await Sampler(root, [FileCollector(Key("host", object), reader, root)]).sample(())
    assert sample.files_read == 2  # this one, and where cgroups are mounted
    assert sample.wall_seconds > 0
    assert namespaces.KEY.name not in sample.readings
