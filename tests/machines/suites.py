"""What of the tests runs in which machine, and what each kind of host is known to lack.

    python tests/machines/suites.py RESULTS LANE...

runs the suites of these lanes one after the other, as conftest.py has it done for the slow ones beside
all other tests. What a lane said is left below RESULTS.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))  # for when it is run by its path

from tests.machines import machine  # noqa: E402 - after the path

PYTEST: Final = (
    *(sys.executable, "-m", "pytest", "-q", "--durations=10", "-o", "cache_dir=/machine/cache"),
    *("--timeout=300", "-m", "root and not machine"),
)
OUTCOME: Final = "outcome.json"
ENGINES: Final = ("tests/engines/test_oci_systemd.py", "tests/engines/test_cri_systemd.py")
"""Docker, Podman, containerd and pods that leave cgroups to systemd, and containers to our runtime."""
ROOTLESS: Final = "tests/engines/test_oci_rootless_systemd.py"
"""A user's Podman that leaves cgroups to the user's own systemd."""
WHOLE: Final = ("tests/live", "tests/runtime")


SCRIPT: Final = """
"$@" --junitxml=/machine/junit.xml && exit 0
[ -s /machine/cache/v/cache/lastfailed ] || exit 1
echo "== once more, those that failed:"
cat /machine/cache/v/cache/lastfailed
"$@" --junitxml=/machine/again.xml --last-failed --last-failed-no-failures none
"""
"""As `.ci/run` does for the whole: a deadline can pass for want of a processor; what fails twice fails."""


@dataclass(frozen=True)
class Suite:
    """Words for pytest, at most how long, and for what reasons one may be skipped (regular expressions)."""

    tests: tuple[str, ...]
    lacks: tuple[str, ...]
    timeout_seconds: float
    slow: bool = False
    """Whether it is begun beside the other tests, for it takes minutes and has a kernel of its own."""


MACHINES: Final = (
    "systemd is the first process of this host",
    "/: its filesystem cannot map ids on this kernel",  # it is an overlay
    "no pressure stalls of cgroups where cgroup v2 is alone",
    "this host has the (memory|pids|cpu) controller",
    "no hugetlb controller that could be enabled",
    "(AppArmor|SELinux) is in use here",
    "this kernel does not use (AppArmor|SELinux)",  # test_qemu_labels.py has kernels that do
    "this kernel has (no bfq|the cfq) scheduler",
)
NAMESPACES: Final = (
    "no loop device is to be had",
    "the tests' directory is on no disk",
    "no weights of disks on this kernel",
    "no (hugetlb|rdma|misc) controller on this host",
    "no controller of cgroup v2 can be enabled here",
    "all that is here is in a container",
)
SUITES: Final = {
    "ns-v1": Suite(
        tests=(*WHOLE, *ENGINES),
        lacks=(
            *MACHINES,
            *NAMESPACES,
            "this host has (no cgroup v2|not cgroup v2 alone|no hugetlb controller)",
            "there are no users' systemds with cgroup v2",
            "cgroup v2 is not what this host has",
        ),
        timeout_seconds=900,
    ),
    "ns-v2": Suite(
        tests=(*WHOLE, ROOTLESS),
        lacks=(
            *MACHINES,
            *NAMESPACES,
            r"no \w+ controller on this host",
            r"this host has no \w+ controller",
            "this host has no controllers? of ",
            r"the \w+ controller (is not available on this host|cannot be enabled)",
        ),
        timeout_seconds=900,
    ),
    "uml": Suite(
        tests=(
            *(*WHOLE, *ENGINES, ROOTLESS),
            # A hundred births a second are more than it can bear.
            "--ignore=tests/live/test_churn.py",
        ),
        lacks=(
            *MACHINES,
            "no weights of disks on this kernel",
            "no (blkio|cpuset|hugetlb|rdma|misc) controller on this host",
            "this host has no (cpuset|hugetlb) controller",
            "no time namespaces in this kernel",
            "this kernel has no memory nodes",
            "no real time to give to a cgroup here",
        ),
        timeout_seconds=2400,
        slow=True,
    ),
    machine.EMULATED: Suite(
        tests=(
            "tests/live/test_controllers.py",
            "tests/live/test_rdma.py",
            "tests/runtime/cgroups/test_hierarchy.py",
            "tests/runtime/cgroups/test_manager.py",
            "tests/runtime/init/test_cgroups_of_containers.py",
            "tests/runtime/command/test_cgroups.py",
            "tests/runtime/command/test_systemd.py",
            "tests/collectors/kernel/test_ports.py",
        ),
        lacks=MACHINES,
        timeout_seconds=1800,
        slow=True,
    ),
}


@dataclass(frozen=True)
class Report:
    """How many tests there were, and what did not go as it should, in words."""

    ran: int
    wrong: tuple[str, ...]
    output: str


def run(lane: str, results: Path) -> None:
    """Run the lane's suite; leave its outcome in `results`."""
    suite = SUITES[lane]
    # Where nothing may be absent here, nothing may be there.
    strict = ("env", "CI=true") if os.environ.get("CI") else ()
    words = ("sh", "-c", SCRIPT, "sh", *strict, *PYTEST, *suite.tests)
    outcome = machine.run(lane, words, results, timeout_seconds=suite.timeout_seconds)
    said = outcome.output + ("" if outcome.exit_code == 0 else outcome.console)
    told = json.dumps({"exit_code": outcome.exit_code, "output": said})
    (results / f"{OUTCOME}.new").write_text(told)
    (results / f"{OUTCOME}.new").rename(results / OUTCOME)


def report(lane: str, results: Path) -> Report:
    """Return what came of the lane's suite, which has been run."""
    outcome = json.loads((results / OUTCOME).read_text())
    wrong = [f"exit status {outcome['exit_code']}"] if outcome["exit_code"] else []
    lacks, ran = re.compile("|".join(SUITES[lane].lacks)), 0
    for case in _cases(results / "junit.xml"):
        reasons = [each.attrib["message"] for each in case.iter("skipped")]
        ran += not reasons
        wrong += [f"{_name(case)}: {each}" for each in reasons if not lacks.search(each)]
    if outcome["exit_code"]:
        last = results / "again.xml"
        cases = _cases(last if last.exists() else results / "junit.xml")
        wrong += [
            _name(case) for case in cases if list(case.iter("failure")) + list(case.iter("error"))
        ]
    return Report(ran, tuple(wrong), outcome["output"])


def _cases(path: Path) -> Sequence[ElementTree.Element]:
    return tuple(ElementTree.parse(path).getroot().iter("testcase")) if path.exists() else ()


def _name(case: ElementTree.Element) -> str:
    return f"{case.attrib['classname']}::{case.attrib['name']}"


def main(argv: Sequence[str]) -> None:
    """Run suites, one after the other; each below a directory of its name."""
    results, *lanes = argv
    for lane in lanes:
        run(lane, Path(results, lane))


if __name__ == "__main__":
    main(sys.argv[1:])
