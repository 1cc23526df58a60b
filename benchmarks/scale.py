"""Measures what a frame costs on a big host: processor time and files read, of each collector and of deriving.

Makes containers as the kernel sees them (processes in namespaces and cgroups of their own), then takes
frames of all sections in this process, as `cinspect watch` does, and of no engine. Prints a table: the
first frame, and the median of the later ones. With --profile one more frame of each kind is profiled.

    sudo python benchmarks/scale.py [--containers 500] [--processes 21] [--frames 25] [--interval 1]
        [--sections containers,processes] [--proc] [--profile cumulative]
"""

import argparse
import asyncio
import cProfile
import pstats
import statistics
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.crowd import crowd  # noqa: E402 - after the path
from collectors import registry  # noqa: E402
from collectors import table as processes  # noqa: E402
from collectors.collector import Collector  # noqa: E402
from collectors.root import Root  # noqa: E402
from inspector.chain import Chain  # noqa: E402
from inspector.frame import SECTIONS  # noqa: E402
from inspector.sampler import Sampler  # noqa: E402

Costs = dict[str, tuple[float, int]]
"""Milliseconds of processor time and files read, by what they were spent on."""


class Costed:
    """A collector, and what its last answer cost."""

    def __init__(self, collector: Collector[object], root: Root, costs: Costs) -> None:
        """Write down into `costs` what each answer takes."""
        self._collector, self._root, self._costs = collector, root, costs
        self.name = collector.name

    async def collect(self) -> object:
        """Return the collector's answer."""
        async with _spent(self.name, self._root, self._costs):
            return await self._collector.collect()


@asynccontextmanager
async def _spent(name: str, root: Root, costs: Costs) -> AsyncIterator[None]:
    cpu, files = time.process_time(), root.reads.files
    yield
    costs[name] = ((time.process_time() - cpu) * 1000, root.reads.files - files)


class Watch:
    """Takes one frame after another."""

    def __init__(self, sections: Sequence[str]) -> None:
        """Begin anew: the next frame is a first one."""
        self._root, self.costs = Root(), Costs()
        made = registry.collectors(self._root, listen=True)
        self._sampler = Sampler(
            self._root, [Costed(one, self._root, self.costs) for one in made], ()
        )
        self._chain, self._sections = Chain(), sections

    async def frame(self) -> Costs:
        """Take a frame and return what it cost."""
        self.costs.clear()
        async with _spent("whole frame", self._root, whole := Costs()):
            async with _spent("collecting", self._root, whole):
                sample = await self._sampler.sample(self._sections)
            async with _spent("deriving", self._root, whole):
                await asyncio.to_thread(self._chain.advance, sample)
        return {**self.costs, **whole}


class Profile:
    """Profiles the threads that begin within a `with`, and prints what they did."""

    def __init__(self, order: str) -> None:
        """Take what to sort by, as `cumulative`."""
        self._order = order
        self._began: list[cProfile.Profile] = []

    def __enter__(self) -> None:
        self._began = []
        threading.setprofile(self._enter)
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())

    def __exit__(self, *_: object) -> None:
        threading.setprofile(None)
        for one in self._began:
            one.disable()
        if self._began:
            pstats.Stats(*self._began).sort_stats(self._order).print_stats(45)

    def _enter(self, *_: object) -> None:
        sys.setprofile(None)
        one = cProfile.Profile()
        self._began.append(one)
        one.enable()


async def measure(options: argparse.Namespace, profile: Profile) -> None:
    """Take the frames and print what they cost."""
    watch = Watch(options.sections)
    cold = await watch.frame()
    later: list[Costs] = []
    for _ in range(options.frames):
        await asyncio.sleep(options.interval)
        later.append(await watch.frame())
    settled = later[len(later) // 2 :]
    print(f"{'':<14} {'first':>10} {'':>8}   {'later':>8} {'at most':>8} {'':>8}")
    for name, (cpu, files) in cold.items():
        each = [one[name][0] for one in settled]
        read = round(statistics.median(one[name][1] for one in settled))
        print(
            f"{name:<14} {cpu:8.1f}ms {files:8}   {statistics.median(each):6.1f}ms"
            f" {max(each):6.1f}ms {read:8} files"
        )
    if options.profile:
        with profile:
            for _ in range(10):
                await watch.frame()
        if options.cold:
            with profile:
                await Watch(options.sections).frame()


def main() -> None:
    """Make the crowd and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--containers", type=int, default=500)
    parser.add_argument("--processes", type=int, default=21)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--sections", type=lambda text: text.split(","), default=tuple(SECTIONS))
    parser.add_argument("--proc", action="store_true", help="by /proc alone, without BPF")
    parser.add_argument("--profile", metavar="ORDER", help="of the frames: cumulative or tottime")
    parser.add_argument("--cold", action="store_true", help="profile a first frame too")
    options = parser.parse_args()
    if options.proc:
        processes.connect = lambda _: None
    with crowd(options.containers, options.processes):
        time.sleep(1)
        asyncio.run(measure(options, Profile(options.profile or "")))


if __name__ == "__main__":
    main()
