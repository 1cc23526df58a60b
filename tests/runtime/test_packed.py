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
from runtime import packed
pack = packed.install("command")
from runtime import errors
import runtime.linux
print(type(errors.__spec__.loader).__name__, errors.__file__, errors.NotFound.__name__)
print(type(runtime.linux.__spec__.loader).__name__, *runtime.linux.__path__)
"""


AT_ONCE = """
from runtime import packed
pack = packed.install("command")
from runtime import brief
brief.install()
before = set(sys.modules)
pack.load(sys.argv[1:])
loaded = set(sys.modules) - before
from runtime.command import features, main
later = set(sys.modules) - before - loaded
print(len(loaded), len(later), sep="\\n")
import runtime.linux.syscalls
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


def version(tree: Path) -> str:
    return python(MAIN, tree, "--version")


def features(tree: Path) -> str:
    return python(MAIN, tree, "features")


def loaders(tree: Path) -> list[str]:
    """Return which classes have loaded a module and a package."""
    return [line.split()[0] for line in python(LOADED, tree).splitlines()]


def pack_of(tree: Path) -> Path:
    (pack,) = (tree / "runtime" / "__pycache__").glob("*.pack")
    return pack


def test_a_command_writes_the_pack_and_the_next_one_loads_from_it(tree):
    first = features(tree)
    assert '"ociVersionMax"' in first
    assert features(tree) == first
    written = pack_of(tree)
    stamp = written.stat().st_mtime_ns, written.stat().st_ino
    assert features(tree) == first
    assert (written.stat().st_mtime_ns, written.stat().st_ino) == stamp
    assert not list(written.parent.glob("*.pack.*"))
    runtime = tree / "runtime"
    assert python(LOADED, tree).splitlines() == [
        f"Pack {runtime}/errors.py NotFound",
        f"Pack {runtime}/linux",
    ]


def test_from_the_third_time_on_a_command_loads_all_at_once(tree):
    features(tree)
    wrong = (sys.executable, "-I", "-S", "-c", MAIN.format(str(tree)), "features", "--wrong")
    for _ in range(3):  # what fails teaches nothing
        assert subprocess.run(wrong, capture_output=True, check=False, timeout=60).returncode == 1
    said = [features(tree) for _ in range(3)]
    assert len(set(said)) == 1
    program = f"import sys; sys.path.insert(0, {{!r}}); sys.argv[1:] = ['features']\n{AT_ONCE}"
    loaded, later, parents = python(program, tree).splitlines()
    assert int(loaded) > 15
    assert later == "0"
    assert parents == "True"


def test_a_set_ends_at_a_source_that_has_changed(tree):
    for _ in range(3):
        features(tree)
    table = tree / "runtime" / "command" / "table.py"
    table.write_text(table.read_text().replace('"0.1.0"', '"10.0.0"'))
    assert "10.0.0" in python(MAIN, tree, "--version", "features")
    for _ in range(3):
        assert "10.0.0" in python(MAIN, tree, "--version", "features")


def test_what_other_commands_load_is_added(tree):
    version(tree)
    before = pack_of(tree).stat().st_size
    features(tree)
    after = pack_of(tree).stat().st_size
    assert after > before
    version(tree)
    assert pack_of(tree).stat().st_size == after


@pytest.mark.parametrize("same_size", [True, False])
def test_a_source_that_has_changed_is_not_taken_from_the_pack(tree, same_size):
    version(tree)
    table = tree / "runtime" / "command" / "table.py"
    status = table.stat()
    table.write_text(table.read_text().replace('"0.1.0"', '"9.9.9"' if same_size else '"10.0.0"'))
    if same_size:
        os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    else:
        os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns))
    wanted = "9.9.9" if same_size else "10.0.0"
    assert wanted in version(tree)
    assert wanted in version(tree)  # from the pack that was written anew


@pytest.mark.parametrize("damage", [b"", b"\xff" * 4096, b"\x10\0\0\0\0\0\0\0short", None])
def test_a_damaged_pack_is_left_aside_and_replaced(tree, damage):
    said = features(tree)
    pack = pack_of(tree)
    whole = pack.read_bytes()
    pack.write_bytes(damage if damage is not None else whole[: len(whole) // 2])
    assert features(tree) == said
    assert loaders(tree) == ["Pack", "Pack"]
    assert pack.stat().st_size == len(whole)


def test_another_pythons_pack_is_left_aside(tree):
    said = features(tree)
    pack = pack_of(tree)
    data = pack.read_bytes()
    magic = __import__("importlib.util").util.MAGIC_NUMBER
    assert data.count(magic) >= 1
    pack.write_bytes(data.replace(magic, b"\x01\x02\x03\x04", 1))
    assert loaders(tree) == ["SourceFileLoader", "SourceFileLoader"]
    assert features(tree) == said
    assert loaders(tree) == ["Pack", "Pack"]


def test_where_no_pack_can_be_written_the_command_runs_all_the_same(tree):
    (tree / "runtime" / "__pycache__").write_text("a file where the directory would be")
    assert version(tree).startswith("cinspect-oci version ")
    assert loaders(tree) == ["SourceFileLoader", "SourceFileLoader"]
