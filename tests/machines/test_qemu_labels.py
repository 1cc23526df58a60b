"""Debian's kernel with one security module and then the other: labels of a container confine it."""

import sys
from pathlib import Path

import pytest

from tests import requirements
from tests.machines import kernel, machine
from tests.machines.test_lanes import assert_nothing_stays

pytestmark = [pytest.mark.machine, pytest.mark.root, pytest.mark.timeout(700)]

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q")
LABELS = "tests/runtime/security/test_labels.py"
MODULES = {
    "apparmor": ("apparmor=1", "security=apparmor"),
    "selinux": ("selinux=1", "security=selinux", "enforcing=0"),
}
TESTS = {"apparmor": 5, "selinux": 5}
"""How many of them are of each."""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    if reason := machine.missing(machine.EMULATED):
        requirements.lacking(f"{machine.EMULATED}: {reason}")
    # Not installed, which would have each machine load all of the host's profiles.
    for package in ("apparmor", "checkpolicy"):
        kernel.unpacked(tmp_path, package)
    return tmp_path


@pytest.mark.parametrize("module", MODULES)
def test_labels_confine_a_container(results: Path, module: str) -> None:
    prepare = 'PATH=/machine/unpacked/sbin:/machine/unpacked/usr/bin:$PATH "$@"'
    chosen = {"apparmor": "profile", "selinux": "context"}[module]
    command = ("sh", "-c", prepare, "sh", *PYTEST, "-k", chosen, LABELS)
    outcome = machine.run(
        machine.EMULATED,
        command,
        results,
        timeout_seconds=600,
        parameters=MODULES[module],
    )
    assert outcome.exit_code == 0, outcome.output + outcome.console
    assert f"{TESTS[module]} passed" in outcome.output, outcome.output
    assert_nothing_stays(results)
