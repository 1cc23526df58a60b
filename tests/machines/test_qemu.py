"""Debian's own kernel, under emulation: what it alone has of controllers, and systemd's scopes there."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import requirements
from tests.machines import machine
from tests.machines.test_lanes import PYTEST, ROOT, assert_nothing_stays

pytestmark = [pytest.mark.machine, pytest.mark.root, pytest.mark.timeout(1000)]

TESTS = (
    "tests/live/test_controllers.py",
    "tests/runtime/cgroups",
    "tests/runtime/command/test_systemd.py",
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    if reason := machine.missing(machine.EMULATED):
        requirements.lacking(f"{machine.EMULATED}: {reason}")
    return tmp_path


def test_a_machine_that_takes_too_long_leaves_nothing(results: Path) -> None:
    outcome = machine.run(machine.EMULATED, ("sleep", "1000"), results, timeout_seconds=5)
    assert outcome.exit_code == machine.TIMED_OUT
    assert_nothing_stays(results)


def test_the_tests_of_controllers_pass_on_debians_kernel(results: Path) -> None:
    command = (*PYTEST, "--junitxml=/machine/junit.xml", *ROOT, *TESTS)
    outcome = machine.run(machine.EMULATED, command, results, timeout_seconds=900)
    assert outcome.exit_code == 0, outcome.output + outcome.console
    suite = ElementTree.parse(results / "junit.xml").getroot()[0]
    sys.stdout.write(f"{suite.attrib}\n{outcome.output}")
    ran = {
        case.attrib["name"]
        for case in suite.iter("testcase")
        if not case.findall("skipped") and "test_controllers" in case.attrib["classname"]
    }
    assert len(ran) >= 6  # here nothing of what they ask for is absent
    assert_nothing_stays(results)
