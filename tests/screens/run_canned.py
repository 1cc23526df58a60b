"""Runs the interface on the canned host, to be looked at: python tests/screens/run_canned.py [--read-only]."""

import asyncio
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from screens.app import CinspectApp
from tests.screens import frames


class Animated:
    """A frame a second, for ever."""

    interval = 1.0

    async def frames(self):
        for step in itertools.count():
            yield frames.frame(step)
            await asyncio.sleep(self.interval)


if __name__ == "__main__":
    CinspectApp(Animated(), frames.Recorder(), read_only="--read-only" in sys.argv).run()
