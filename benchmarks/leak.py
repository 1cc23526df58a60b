"""Looks at a host where containers come and go, again and again, and prints what is kept in memory.

Samples, frames, the journal and the history of them, as the dashboard has them; `cinspect`'s memory,
open files, objects and tables at each report. Text, and each report as a line of JSON.

    sudo python benchmarks/leak.py [--minutes 60] [--interval 0.25] [--alive 6] [--pause 0.2]
        [--reports 60]
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from collectors.registry import collectors  # noqa: E402 - after the path
from collectors.root import Root  # noqa: E402 - after the path
from inspector.chain import KEPT, Chain  # noqa: E402 - after the path
from inspector.frame import SECTIONS  # noqa: E402 - after the path
from inspector.history import History  # noqa: E402 - after the path
from inspector.journal import Journal  # noqa: E402 - after the path
from inspector.sampler import Sampler  # noqa: E402 - after the path
from tests.inspector.turnover import Held, grown, held, turnover  # noqa: E402 - after the path


def say(began: float, frames: int, now: Held, cpu: float) -> None:
    """Print one report."""
    minutes = (time.monotonic() - began) / 60
    report = {
        "minutes": round(minutes, 2),
        "frames": frames,
        "cpu_ms_a_frame": round(cpu * 1000 / frames, 1),
        **now._asdict(),
    }
    print(
        f"{minutes:6.1f} min {frames:7} frames {now.rss_bytes / 1e6:7.1f} MB rss"
        f" {now.descriptors:5} open files {now.objects:8} objects",
        json.dumps(report),
        flush=True,
    )


async def look(options: argparse.Namespace, directory: str) -> list[Held]:
    """Take frames for so many minutes; return what was held at each report."""
    root = Root()
    sampler = Sampler(root, collectors(root, listen=True))
    journal = Journal(directory, boot_id="leak", write=True)
    chain, history = Chain(keep=KEPT, journal=journal), History()
    began, frames, found = time.monotonic(), 0, list[Held]()
    cpu = time.process_time()
    period = options.minutes * 60 / options.reports
    while len(found) < options.reports:
        due = time.monotonic() + options.interval
        history.add(chain.advance(await sampler.sample(SECTIONS)))
        frames += 1
        if time.monotonic() - began >= (len(found) + 1) * period:
            found.append(held(sampler, chain, history))
            say(began, frames, found[-1], time.process_time() - cpu)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    journal.close()
    return found


def main() -> None:
    """Look, and say what has grown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--interval", type=float, default=0.25)
    parser.add_argument("--alive", type=int, default=6)
    parser.add_argument("--pause", type=float, default=0.2)
    parser.add_argument("--reports", type=int, default=60)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="cinspect-leak-") as directory,
        turnover(options.alive, options.pause),
    ):
        found = asyncio.run(look(options, directory))
    third = len(found) // 3
    early, late = found[third : 2 * third], found[-third:]
    megabytes = [sum(one.rss_bytes for one in part) / len(part) / 1e6 for part in (early, late)]
    print(f"rss of the second third {megabytes[0]:.1f} MB, of the last {megabytes[1]:.1f} MB")
    print("tables that have grown since the second third:", grown(early, late) or "none")


if __name__ == "__main__":
    main()
