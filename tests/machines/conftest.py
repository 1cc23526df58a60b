"""Slow machines are begun as soon as it is known that they are wanted, and waited for by their tests."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.machines import machine, suites

BESIDE: Final = pytest.StashKey["Beside"]()


class Beside:
    """Suites of slow machines, one after the other, in a process beside this one."""

    def __init__(self, lanes: tuple[str, ...]) -> None:
        # Not below pytest's own directory: that one is emptied while a run goes on.
        self.directory = Path(tempfile.mkdtemp(prefix="cinspect-suites-", dir="/var/tmp"))
        self._log = (self.directory / "log").open("wb")
        script = suites.HERE / "suites.py"
        self._process = subprocess.Popen(
            ("setpriv", "--pdeathsig", "KILL", "nice", "-n", "10", sys.executable, script,
             self.directory, *lanes),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )  # fmt: skip

    def results(self, lane: str) -> Path:
        """Wait for the lane's suite; return where its results are."""
        found = self.directory / lane
        while not (found / suites.OUTCOME).exists():
            assert self._process.poll() is None, (self.directory / "log").read_text()
            time.sleep(0.5)
        return found

    def end(self) -> None:
        """End what still runs: a machine ends with who started it."""
        self._process.kill()
        self._process.wait()
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
    lanes = tuple(name for name, suite in suites.SUITES.items() if suite.slow and name in names)
    lanes = tuple(lane for lane in lanes if machine.missing(lane) is None)
    if lanes and not session.config.option.collectonly:
        session.config.stash[BESIDE] = Beside(lanes)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what was begun and nobody waited for."""
    if beside := session.config.stash.get(BESIDE, None):
        beside.end()


@pytest.fixture
def suite_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], suites.Report]:
    """Return a function that gives the report of a lane's suite, run now or begun before."""

    def report(lane: str) -> suites.Report:
        if suites.SUITES[lane].slow:
            return suites.report(lane, request.config.stash[BESIDE].results(lane))
        suites.run(lane, tmp_path)
        return suites.report(lane, tmp_path)

    return report
