"""Slow machines are begun as soon as it is known that they are wanted, the others at once where the first is."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.machines import machine, suites

BESIDE: Final = pytest.StashKey["Beside"]()


class Beside:
    """Suites of machines, each in a process beside this one: they mostly wait."""

    def __init__(self, lanes: Sequence[str]) -> None:
        """Take those that will be asked for."""
        # Not below pytest's own directory: that one is emptied while a run goes on.
        self.directory = Path(tempfile.mkdtemp(prefix="cinspect-suites-", dir="/var/tmp"))
        self._lanes = lanes
        self._log = (self.directory / "log").open("wb")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, *, slow: bool) -> None:
        """Begin all that are slow, which leave the processors to others, or all that are not."""
        for lane in self._lanes:
            if lane in self._processes or suites.SUITES[lane].slow is not slow:
                continue
            self._processes[lane] = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", "nice", "-n", "10" if slow else "0",
                 sys.executable, suites.HERE / "suites.py", self.directory, lane),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )  # fmt: skip

    def results(self, lane: str) -> Path:
        """Wait for the lane's suite; return where its results are."""
        found = self.directory / lane
        while not (found / suites.OUTCOME).exists():
            assert self._processes[lane].poll() is None, (self.directory / "log").read_text()
            time.sleep(0.5)
        return found

    def end(self) -> None:
        """End what still runs: a machine ends with who started it."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin the suites of slow machines that will be asked for, and can be here."""
    names = {
        str(item.callspec.params["lane"])
        for item in session.items
        if isinstance(item, pytest.Function) and item.originalname == "test_the_suite_passes"
        if hasattr(item, "callspec")
    }
    lanes = tuple(name for name in suites.SUITES if name in names)
    lanes = tuple(lane for lane in lanes if machine.missing(lane) is None)
    if lanes and not session.config.option.collectonly:
        session.config.stash[BESIDE] = Beside(lanes)
        session.config.stash[BESIDE].begin(slow=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what was begun and nobody waited for."""
    if beside := session.config.stash.get(BESIDE, None):
        beside.end()


@pytest.fixture
def suite_of(request: pytest.FixtureRequest) -> Callable[[str], suites.Report]:
    """Return a function that gives the report of a lane's suite, begun before or by the first that asks."""

    def report(lane: str) -> suites.Report:
        beside = request.config.stash[BESIDE]
        beside.begin(slow=suites.SUITES[lane].slow)
        return suites.report(lane, beside.results(lane))

    return report
