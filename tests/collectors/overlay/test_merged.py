"""An overlay read through its layers is, file by file, what the kernel shows where it is mounted."""

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from collectors.errors import CollectError, Missing
from collectors.overlay.merged import MergedTree
from collectors.overlay.tree import Tree
from collectors.root import Root
from tests.collectors.overlay.made import make
from tests.collectors.overlay.test_weigh import STACKS, build, put

pytestmark = pytest.mark.root


def told(status: os.stat_result) -> tuple[int, int, int, int, int]:
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return (status.st_mode, status.st_uid, status.st_gid, size, status.st_mtime_ns)


def read_whole(layers, *options, path="/"):
    """Return each path below one: what it is, and what it has in it."""
    found = {}

    def into(merged, directory, above):
        for name, one in merged.members(directory, above):
            there = f"{above.rstrip('/')}/{name}"
            status = os.fstat(one.fd)
            inside = None
            if stat.S_ISREG(status.st_mode):
                with os.fdopen(merged.open(one, there), "rb") as file:
                    inside = file.read()
            elif stat.S_ISLNK(status.st_mode):
                inside = os.readlink("", dir_fd=one.fd)
            found[there] = (told(status), inside)
            if stat.S_ISDIR(status.st_mode):
                into(merged, one, there)

    with Tree(Root(), layers.overlay(*options)) as tree:
        merged = MergedTree(tree)
        top = merged.look(path, follow=False)
        try:
            into(merged, top, path)
        finally:
            os.close(top.fd)
    return found


def kernels(mounted: Path):
    found = {}
    for where, directories, files in os.walk(mounted):
        for name in (*directories, *files):
            path = Path(where, name)
            if not os.path.lexists(path):
                continue  # a whiteout that the kernel lists, and denies
            inside = None
            if path.is_symlink():
                inside = os.readlink(path)
            elif path.is_file():
                inside = path.read_bytes()
            found["/" + os.path.relpath(path, mounted)] = (told(path.lstat()), inside)
    return found


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(STACKS)
def test_any_stack_reads_as_the_kernel_merges_it(stack):
    with tempfile.TemporaryDirectory(prefix="l-merged-") as base:
        layers = make(Path(base), lowers=len(stack))
        for lower, things in zip(layers.lowers, stack, strict=True):
            build(lower, things)
        with layers.mounted() as merged:
            shown = kernels(merged)
        assert read_whole(layers) == shown


@pytest.fixture
def used(tmp_path):
    """Layers in which everything happened that a container can do to a tree."""
    layers = make(tmp_path, lowers=2)
    put(layers.lowers[1] / "etc/conf", 10)
    put(layers.lowers[0] / "etc/more", 20)
    put(layers.lowers[1] / "big", 100_000)
    for name in ("again/old", "gone/file", "old/deep/file"):
        put(layers.lowers[1] / name, 5)
    (layers.lowers[1] / "link").symlink_to("/etc")
    return layers


def use(merged: Path) -> None:
    (merged / "etc/conf").write_text("written to")
    (merged / "big").chmod(0o600)
    (merged / "etc/more").unlink()
    for name in ("again", "gone"):
        for file in (merged / name).iterdir():
            file.unlink()
        (merged / name).rmdir()
    put(merged / "again/new", 6)
    put(merged / "made/here", 7)


@pytest.mark.parametrize(
    "options", [(), ("userxattr",), ("metacopy=on",), ("metacopy=on", "redirect_dir=on")], ids=str
)
def test_what_a_container_did_is_read_as_the_kernel_shows_it(used, options):
    with used.mounted(*options) as merged:
        use(merged)
        if "redirect_dir=on" in options:
            (merged / "old").rename(merged / "renamed")
        shown = kernels(merged)
    assert "/again/old" not in shown
    assert read_whole(used, *options) == shown


def test_a_path_is_looked_up_with_its_links(used):
    with Tree(Root(), used.overlay()) as tree:
        merged = MergedTree(tree)
        for path, follow, kind in (
            ("/link", False, stat.S_IFLNK),
            ("/link", True, stat.S_IFDIR),
            ("/link/", False, stat.S_IFDIR),
            ("/link/conf", False, stat.S_IFREG),
            ("/etc/../link/../big", False, stat.S_IFREG),
            ("/etc/..", False, stat.S_IFDIR),
            ("", False, stat.S_IFDIR),
        ):
            found = merged.look(path, follow=follow)
            try:
                assert stat.S_IFMT(os.fstat(found.fd).st_mode) == kind, path
                assert bool(found.places) == (kind == stat.S_IFDIR), path
            finally:
                os.close(found.fd)
        for path in ("/none", "/etc/none/below", "/big/below"):
            with pytest.raises(Missing):
                merged.look(path, follow=False)
        (used.upper / "loop").symlink_to("loop")
        with pytest.raises(CollectError, match="too many"):
            merged.look("/loop", follow=True)


def test_a_layer_that_is_not_there_is_an_error_and_not_a_smaller_tree(used):
    used.lowers[0].rename(used.base / "elsewhere")
    with Tree(Root(), used.overlay()) as tree, pytest.raises(Missing, match="layers"):
        MergedTree(tree)


def test_no_descriptor_is_left(used):
    before = sorted(os.listdir("/proc/self/fd"))
    read_whole(used)
    with Tree(Root(), used.overlay()) as tree, pytest.raises(Missing):
        MergedTree(tree).look("/etc/none", follow=True)
    assert sorted(os.listdir("/proc/self/fd")) == before
