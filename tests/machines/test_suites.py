"""What came of a suite is told: what was skipped without leave, what failed, and what failed twice."""

import json
from pathlib import Path

import pytest

from tests.machines import suites

CASE = '<testcase classname="tests.rose" name="{}">{}</testcase>'
SKIPPED = '<skipped message="{}"/>'
LEAVE = "no misc controller on this host"


def left(directory: Path, exit_code: int, first: str, again: str = "") -> suites.Report:
    """Return the report of a suite that left these test cases."""
    outcome = {"exit_code": exit_code, "output": "said"}
    (directory / suites.OUTCOME).write_text(json.dumps(outcome))
    for name, cases in (("junit", first), ("again", again)):
        if cases:
            (directory / f"{name}.xml").write_text(f"<testsuites>{cases}</testsuites>")
    return suites.report("uml", directory)


def test_what_ran_is_counted_and_what_may_be_lacking_is_not(tmp_path: Path) -> None:
    cases = CASE.format("ran", "") + CASE.format("lacks", SKIPPED.format(LEAVE))
    assert left(tmp_path, 0, cases) == suites.Report(1, (), "said")


@pytest.mark.parametrize("reason", ["needs root", "no memory controller on this host"])
def test_what_is_lacking_without_leave_is_told(tmp_path: Path, reason: str) -> None:
    cases = CASE.format("ran", "") + CASE.format("lacks", SKIPPED.format(reason))
    assert left(tmp_path, 0, cases).wrong == (f"tests.rose::lacks: {reason}",)


@pytest.mark.parametrize("kind", ["failure", "error"])
def test_what_failed_is_named_and_only_what_failed_twice(tmp_path: Path, kind: str) -> None:
    first = CASE.format("once", f"<{kind}/>") + CASE.format("twice", f"<{kind}/>")
    wrong = left(tmp_path, 1, first).wrong
    assert wrong == ("exit status 1", "tests.rose::once", "tests.rose::twice")
    again = CASE.format("once", "") + CASE.format("twice", f"<{kind}/>")
    assert left(tmp_path, 1, first, again).wrong == ("exit status 1", "tests.rose::twice")
    assert left(tmp_path, 0, first, CASE.format("once", "")).wrong == ()


def test_a_machine_that_said_nothing_is_told_of(tmp_path: Path) -> None:
    assert left(tmp_path, 125, "").wrong == ("exit status 125",)
