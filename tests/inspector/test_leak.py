"""What is kept in memory does not grow while containers come and go."""

import asyncio
import gc
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from benchmarks.crowd import hierarchies
from collectors import spaces, table
from collectors.kernel import processes
from collectors.registry import collectors
from collectors.root import Root
from inspector import chain, journal
from inspector.chain import Chain
from inspector.domains.events.same import LATE_SECONDS
from inspector.frame import SECTIONS
from inspector.history import History
from inspector.journal import Journal
from inspector.sampler import Sampler
from tests.inspector.turnover import Held, grown, held, turnover
from tests.requirements import lacking

WARM, FRAMES, EACH = 30, 90, 4
"""Frames until what is bounded is full, frames in all, and how often is looked at what is kept."""
MEGABYTE = 1 << 20
ROOM = 60
"""A table may be longer by so many: of a few containers more there are some dozen mounts more."""


class Watcher:
    """Takes frames as the dashboard does: with the journal, and with the history of what was used."""

    def __init__(self, directory: Path) -> None:
        root = Root()
        self.sampler = Sampler(root, collectors(root, listen=True))
        self.journal = Journal(str(directory), boot_id="leak", write=True, limit_bytes=20_000)
        self.chain = Chain(keep=50, journal=self.journal)
        self.history = History(capacity=20)
        self.traced: list[int] = []
        self.containers: set[str] = set()

    def frame(self, loop: asyncio.Runner) -> None:
        frame = self.chain.advance(loop.run(self.sampler.sample(SECTIONS)))
        self.history.add(frame)
        self.containers.update(one.id for one in frame.containers or ())

    def held(self) -> Held:
        found = held(self.sampler, self.chain, self.history)
        self.traced.append(tracemalloc.get_traced_memory()[0])
        return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch):
    """Let what is bounded be full soon, and what is gone be forgotten soon."""
    for where, name, most in (
        (chain, "KEPT", 50),
        (chain, "_NAMES", 50),
        (journal, "_KNOWN", 200),
        (processes, "_TEXTS", 50),
        (spaces, "_SETS", 50),
        (table, "_OVER", 50),
        (History, "GRACE", 4),
    ):
        monkeypatch.setattr(where, name, most)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("small")
def test_memory_is_flat_while_containers_come_and_go(tmp_path: Path):
    if os.geteuid() != 0 or not hierarchies():
        lacking("root, and a hierarchy of cgroups to make some in")
    watcher = Watcher(tmp_path)
    found: list[Held] = []
    with turnover(alive=4, pause=0.05), asyncio.Runner() as loop:
        # What happened in the last seconds is kept, to be told once: until then that only grows.
        until = time.monotonic() + LATE_SECONDS
        while time.monotonic() < until:
            watcher.frame(loop)
        for number in range(FRAMES):
            watcher.frame(loop)
            if number == WARM:
                gc.collect()
                tracemalloc.start()
            if number > WARM and number % EACH == 0:
                found.append(watcher.held())
    tracemalloc.stop()
    watcher.journal.close()
    third = len(found) // 3
    early, late = found[:third], found[-third:]
    assert len(watcher.containers) > ROOM, "too few have come and gone to show anything"
    assert grown(early, late, room=ROOM) == {}
    # What was made before tracing is not in it: the later thirds are compared.
    middle = max(watcher.traced[third:-third])
    assert min(watcher.traced[-third:]) < middle + MEGABYTE // 4
    assert min(one.rss_bytes for one in late) < max(one.rss_bytes for one in early) + 8 * MEGABYTE
