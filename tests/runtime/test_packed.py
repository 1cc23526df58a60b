"""A command's modules come from one file, as long as that has what their sources say."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MAIN = "import sys; sys.path.insert(0, {!r}); from runtime.command.start import main; main()"
LOADED = """
import sys
sys.path.insert(0, {!r})
import runtime.command
from runtime import packed
early = packed.install(["begin"])
early.load("runtime.brief")
from runtime import brief
brief.install()
early.load()
pack = packed.install(sys.argv[1:])
before = set(sys.modules)
pack.load()
print(len(set(sys.modules) - before))
import runtime.linux.syscalls
from runtime.command import features, main
print(len(early.found) + len(pack.found))
print(runtime.errors.__file__, runtime.errors.NotFound.__name__, *runtime.linux.__path__)
print(runtime.linux.syscalls is sys.modules["runtime.linux.syscalls"])
"""


@pytest.fixture
def tree(tmp_path):
    """Return a directory with a copy of the package, whose command has not run yet."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "runtime", tmp_path / "tree" / "runtime", ignore=ignored)
    return tmp_path / "tree"


def python(program: str, tree: Path, *words: str) -> str:
    command = (sys.executable, "-I", "-S", "-c", program.format(str(tree)), *words)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def features(tree: Path) -> str:
    return python(MAIN, tree, "features")


def loaded(tree: Path) -> tuple[int, int]:
    """Return how many modules the pack of `features` loads, and how many are left to the usual way."""
    at_once, later, where, same = python(LOADED, tree, "features").splitlines()
    runtime = tree / "runtime"
    assert where == f"{runtime}/errors.py NotFound {runtime}/linux"
    assert same == "True"
    return int(at_once), int(later)


def pack_of(tree: Path) -> Path:
    """Return the pack of `features`; that of what every command begins with is beside it."""
    (pack,) = (tree / "runtime" / "__pycache__").glob("command-features.*.pack")
    return pack


def changed(tree: Path, module: str, old: str, new: str, *, seconds: int = 0) -> None:
    """Have a source say something else, so many seconds after it was last changed."""
    source = tree / "runtime" / f"{module}.py"
    status = source.stat()
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, new))
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns + seconds * 10**9))


def test_a_command_writes_the_pack_and_the_next_one_loads_all_of_it_at_once(tree):
    assert loaded(tree)[0] == 0
    first = features(tree)
    assert '"ociVersionMax"' in first
    written = pack_of(tree)
    stamp = written.stat().st_mtime_ns, written.stat().st_ino
    assert features(tree) == first
    assert (written.stat().st_mtime_ns, written.stat().st_ino) == stamp
    assert not list(written.parent.glob("*.pack.*"))
    at_once, later = loaded(tree)
    assert at_once > 5  # those that no other command begins with
    assert later == 0


def test_a_command_that_fails_teaches_nothing(tree):
    wrong = (sys.executable, "-I", "-S", "-c", MAIN.format(str(tree)), "features", "--wrong")
    assert subprocess.run(wrong, capture_output=True, check=False, timeout=60).returncode == 1
    assert not list(tree.rglob("command-features.*"))


def test_a_command_that_comes_to_load_more_keeps_that_too(tree):
    features(tree)
    before = pack_of(tree).read_bytes()
    changed(
        tree, "command/features", "    return 0\n", "    import runtime.init.hooks\n    return 0\n"
    )
    features(tree)
    after = pack_of(tree).read_bytes()
    assert b"runtime.init.hooks" in after
    assert b"runtime.init.hooks" not in before
    features(tree)
    assert pack_of(tree).read_bytes() == after


def test_each_command_has_a_pack_of_its_own(tree):
    python(MAIN, tree, "--root", str(tree), "list")
    features(tree)
    names = {path.name.split(".")[0] for path in tree.rglob("*.pack")}
    assert names == {"command-begin", "command-features", "command-list"}


@pytest.mark.parametrize("same_size", [True, False])
def test_a_source_that_has_changed_is_not_taken_from_the_pack(tree, same_size):
    features(tree)
    wanted = "9.9.9" if same_size else "10.0.0"
    changed(tree, "command/features", '"1.3.0"', f'"{wanted}"', seconds=same_size)
    assert wanted in features(tree)
    assert wanted in features(tree)  # from the pack that was written anew
    assert loaded(tree)[1] == 0


def test_a_source_that_has_gone_is_not_taken_from_the_pack(tree):
    features(tree)
    (tree / "runtime" / "formats" / "capabilities.py").unlink()
    command = (sys.executable, "-I", "-S", "-c", MAIN.format(str(tree)), "features")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "capabilities" in done.stderr


def test_a_tree_that_was_copied_with_its_pack_is_taken_by_its_own_sources(tree, tmp_path):
    features(tree)
    copied = shutil.copytree(tree, tmp_path / "copied")
    assert loaded(copied)[1] == 0
    changed(copied, "command/features", '"1.3.0"', '"9.9.9"', seconds=1)
    assert "9.9.9" in features(copied)


@pytest.mark.parametrize("damage", [b"", b"\xff" * 4096, b"\xa7\r\r\n", None])
def test_a_damaged_pack_is_left_aside_and_replaced(tree, damage):
    said = features(tree)
    pack = pack_of(tree)
    whole = pack.read_bytes()
    pack.write_bytes(damage if damage is not None else whole[: len(whole) // 2])
    assert features(tree) == said
    assert loaded(tree)[1] == 0
    assert pack.stat().st_size > len(whole) * 0.9


def test_another_pythons_pack_is_left_aside(tree):
    said = features(tree)
    pack = pack_of(tree)
    pack.write_bytes(b"\x01\x02\x03\x04" + pack.read_bytes()[4:])
    assert loaded(tree)[0] == 0
    assert features(tree) == said
    assert loaded(tree)[1] == 0


def test_where_no_pack_can_be_written_the_command_runs_all_the_same(tree):
    (tree / "runtime" / "__pycache__").write_text("a file where the directory would be")
    assert '"ociVersionMax"' in features(tree)
    assert loaded(tree)[0] == 0
