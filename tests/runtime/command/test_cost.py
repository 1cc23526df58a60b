"""What a start costs, in things that can be counted whatever else the machine does."""

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tests import requirements

PROJECT = Path(__file__).parents[3]
PRELUDE = (
    f"import sys; sys.path.append({str(PROJECT)!r}); from runtime import brief; brief.install()\n"
)
LOADED = """
from runtime.command.main import run
status = run(sys.argv[1:])
print("loaded", *sys.modules)
sys.exit(status)
"""
IMPORTING = """
from runtime.cgroups.join import Join
from runtime.init import launch
from runtime.init.step import Step

class Import(Step):
    def describe(self):
        return "import something"

    def execute(self, child):
        import this

try:
    launch.Launch([Import()], stdio=(0, 1, 2)).run(Join(None, ()), launch.Place())
except launch.Internal as error:
    print(error)
"""
SLOW = {
    "enum",
    "functools",
    "operator",
    "json.decoder",
    "_hashlib",
    "asyncio",
    "subprocess",
    "_sre",
}
MOST_MODULES = 150  # 134 with Python 3.11
MOST_FOR_A_START = (
    900  # 837 on a hybrid host, some 250 of them before they are needed; crun makes 1035
)
MOST_FOR_AN_EXEC = 240  # 202


def python(*code_and_words: str, **options) -> subprocess.CompletedProcess:
    command = (sys.executable, "-I", "-S", "-c", *code_and_words)
    return subprocess.run(command, capture_output=True, text=True, check=True, **options)


def test_a_run_loads_few_modules_and_none_that_is_slow(runtime):
    state = str(runtime.directory / "state")
    words = ("--root", state, "run", "--bundle", runtime.bundle("true"), "one")
    done = python(PRELUDE + LOADED, *words, stdin=subprocess.DEVNULL)
    modules = set(done.stdout.rpartition("loaded")[2].split())
    assert not modules & SLOW
    assert len(modules) <= MOST_MODULES
    assert "typing" in modules  # which stands in


def calls(jobs: list[str], directory: Path) -> int:
    """Return how many system calls a process that stays makes for some jobs, its children too."""
    trace = directory / "trace"
    subprocess.run(
        (
            *("strace", "--follow-forks", "--quiet=all", "--output", trace),
            *(sys.executable, "-I", "-S", PROJECT / "benchmarks" / "warm.py"),
        ),
        input="".join(f"{job}\n" for job in jobs),
        stdout=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=60,
    )
    return len(re.findall(r"^\d+ +\w+\(", trace.read_text(), re.MULTILINE))


@pytest.fixture
def limited(runtime):
    """Return a function that makes a bundle with limits of memory and processes."""
    requirements.commands("strace")

    def make(*arguments: str) -> str:
        bundle = runtime.bundle(*arguments)
        path = Path(bundle) / "config.json"
        spec = json.loads(path.read_text())
        resources = {"memory": {"limit": 128 << 20}, "pids": {"limit": 64}}
        spec["linux"].setdefault("resources", {}).update(resources)
        path.write_text(json.dumps(spec))
        return bundle

    return make


def test_a_start_makes_few_system_calls(limited, tmp_path):
    job = [f"run {limited('true')}", "clean"]
    # The last child may end before it is done with what it makes for a container that never comes.
    each = [calls(job * 2, tmp_path) - calls(job, tmp_path) for _ in range(3)]
    assert 200 < statistics.median(each) <= MOST_FOR_A_START


def test_an_exec_makes_few_system_calls(limited, tmp_path):
    hold = f"hold {limited('sleep', '1000')}"
    once = calls([hold, "exec", "drop"], tmp_path)
    twice = calls([hold, "exec", "exec", "drop"], tmp_path)
    assert 50 < twice - once <= MOST_FOR_AN_EXEC


def test_a_child_loads_nothing_whose_files_could_be_the_containers():
    said = python(PRELUDE + IMPORTING).stdout
    assert said == "import something: ModuleNotFoundError: No module named 'this'\n"
