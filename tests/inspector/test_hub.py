"""Live frames: one sampler for many readers, the newest frame for each, none in a queue."""

import asyncio
from contextlib import aclosing

import pytest

from inspector.hub import Hub, LiveSource
from inspector.sample import Sample
from tests.inspector.canned import Host


class Sampler:
    """Gives canned samples and counts them."""

    def __init__(self):
        self.taken = 0
        self.sections = None

    async def sample(self, sections) -> Sample:
        self.taken += 1
        self.sections = sections
        await asyncio.sleep(0)
        return Host().sample(at=float(self.taken))


def number(frame):
    return round(frame.host.uptime_seconds), frame.taken_at.second


async def collect(source, count, *, pause=0.0):
    frames = []
    async with aclosing(source.frames()) as stream:
        async for frame in stream:
            frames.append(frame)
            if len(frames) == count:
                return frames
            await asyncio.sleep(pause)
    return frames


async def test_the_first_frame_comes_at_once_and_the_second_has_rates():
    first, second = await collect(LiveSource(Sampler(), interval=0.01), 2)
    assert first.host.cpu_busy_cores is None
    assert second.host.cpu_busy_cores is not None


async def test_a_source_takes_only_what_its_reader_has_time_for():
    sampler = Sampler()
    await collect(LiveSource(sampler, interval=0.001), 4, pause=0.05)
    assert sampler.taken == 4


async def test_a_source_asks_for_its_sections():
    sampler = Sampler()
    await collect(LiveSource(sampler, sections=("mounts",), interval=1), 1)
    assert sampler.sections == frozenset({"mounts"})


async def test_the_pace_does_not_drift():
    loop = asyncio.get_running_loop()
    began = loop.time()
    await collect(LiveSource(Sampler(), interval=0.05), 5, pause=0.03)
    assert 0.18 < loop.time() - began < 0.6


async def test_readers_share_one_sampler():
    sampler = Sampler()
    async with Hub(LiveSource(sampler, interval=0.02)) as hub, asyncio.TaskGroup() as group:
        readers = [group.create_task(collect(hub, 3)) for _ in range(5)]
    assert all(len(reader.result()) == 3 for reader in readers)
    assert sampler.taken <= 6


async def test_a_slow_reader_gets_the_newest_frame_and_misses_some():
    sampler = Sampler()
    async with Hub(LiveSource(sampler, interval=0.01)) as hub:
        frames = await collect(hub, 3, pause=0.1)
    moments = [frame.taken_at.timestamp() for frame in frames]
    assert moments == sorted(moments)
    assert moments[-1] - moments[0] > 5


async def test_closing_the_hub_ends_its_readers():
    async with asyncio.TaskGroup() as group:
        async with Hub(LiveSource(Sampler(), interval=0.01)) as hub:
            reader = group.create_task(collect(hub, 10**6))
            await asyncio.sleep(0.05)
        await asyncio.sleep(0)
    assert reader.result()


async def test_a_failure_of_the_source_ends_the_hub_with_it():
    class Broken(Sampler):
        async def sample(self, sections):
            raise RuntimeError("broken")

    async def read():
        async with Hub(LiveSource(Broken(), interval=0.01)) as hub:
            assert await collect(hub, 1) == []
            await asyncio.sleep(1)

    with pytest.raises(ExceptionGroup) as caught:
        await read()
    assert caught.group_contains(RuntimeError, match="broken")
