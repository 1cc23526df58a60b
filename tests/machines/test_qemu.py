"""Debian's own kernel, under emulation: what it alone has of controllers, and systemd's scopes there."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import requirements
from tests.machines import machine
from tests.machines.suites import Report
from tests.machines.test_lanes import assert_nothing_stays

pytestmark = [pytest.mark.machine, pytest.mark.root, pytest.mark.timeout(1000)]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    if reason := machine.missing(machine.EMULATED):
        requirements.lacking(f"{machine.EMULATED}: {reason}")
    return tmp_path


def test_a_machine_that_takes_too_long_leaves_nothing(results: Path) -> None:
    outcome = machine.run(machine.EMULATED, ("sleep", "1000"), results, timeout_seconds=5)
    assert outcome.exit_code == machine.TIMED_OUT
    assert_nothing_stays(results)


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("lane", [machine.EMULATED])
def test_the_suite_passes(lane: str, suite_of: Callable[[str], Report], results: Path) -> None:
    report = suite_of(lane)
    sys.stdout.write(f"{lane}: {report.ran}\n{report.output}")
    assert report.wrong == ()
    assert report.ran > 55
    assert_nothing_stays(results)
