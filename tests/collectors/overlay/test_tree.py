"""Which layer has a path, what hides it, and how little is read to tell."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from collectors.errors import CollectError, Missing
from collectors.overlay.tree import Tree
from collectors.root import Root
from tests.collectors.overlay.made import make
from tests.collectors.overlay.test_weigh import STACKS, build, put

pytestmark = pytest.mark.root


def which(layers, path, *options):
    with Tree(Root(), layers.overlay(*options)) as tree:
        return tree.which(path)


def listing(layers, path="/", *options):
    with Tree(Root(), layers.overlay(*options)) as tree:
        return {entry.name: entry for entry in tree.entries(path)}


def said(entry):
    return [(one.layer, one.kind, one.shows, one.hidden_by, one.why) for one in entry.versions]


def test_the_uppermost_layer_that_has_a_file_supplies_it(tmp_path):
    layers = make(tmp_path, lowers=3)
    for index in (1, 2):
        put(layers.lowers[index] / "etc/conf", 10 + index)
    entry = which(layers, "/etc/conf")
    assert said(entry) == [(2, "file", True, None, None), (3, "file", False, 2, "replaced")]
    assert entry.visible is not None
    assert (entry.visible.size_bytes, entry.visible.path) == (11, "/etc/conf")


def test_a_copy_up_tells_when_it_happened_even_after_later_writes(tmp_path):
    layers = make(tmp_path)
    os.utime(put(layers.lowers[0] / "file", 4), (1000, 1000))
    before = time.time()
    with layers.mounted() as merged:
        (merged / "file").chmod(0o600)
    top, below = which(layers, "file").versions
    assert top.modified_at == below.modified_at == 1000
    assert top.born_at is not None
    assert before - 1 <= top.born_at <= time.time()


def test_a_deleted_path_has_its_whiteout_and_what_it_hides(tmp_path):
    layers = make(tmp_path)
    put(layers.lowers[0] / "gone", 4)
    with layers.mounted() as merged:
        (merged / "gone").unlink()
    entry = which(layers, "/gone")
    assert entry.visible is None
    assert said(entry) == [(0, "whiteout", False, None, None), (1, "file", False, 0, "deleted")]


def test_directories_merge_until_one_is_opaque(tmp_path):
    layers = make(tmp_path, lowers=3)
    for lower in layers.lowers:
        (lower / "dir").mkdir()
    os.setxattr(layers.lowers[1] / "dir", "trusted.overlay.opaque", b"y")
    entry = which(layers, "/dir")
    assert [(one.layer, one.merged, one.opaque) for one in entry.versions] == [
        (1, False, False),
        (2, True, True),
        (3, False, False),
    ]
    assert (entry.versions[2].hidden_by, entry.versions[2].why) == (2, "opaque")


def test_links_on_the_way_are_followed_within_the_container(tmp_path):
    layers = make(tmp_path, lowers=2)
    put(layers.lowers[1] / "usr/bin/tool", 9)
    (layers.lowers[0] / "bin").symlink_to("/usr/bin")
    (layers.lowers[0] / "escape").symlink_to("../../../../usr")
    assert which(layers, "/bin/tool").path == "/usr/bin/tool"
    assert which(layers, "/escape/bin/../bin/tool").path == "/usr/bin/tool"
    link = which(layers, "/bin")
    assert link.visible is not None
    assert (link.visible.kind, link.visible.target) == ("symlink", "/usr/bin")


def test_a_loop_of_links_ends(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "a").symlink_to("b")
    (layers.lowers[0] / "b").symlink_to("a")
    with pytest.raises(CollectError, match="too many symbolic links"):
        which(layers, "/a/file")


@pytest.mark.parametrize("path", ["/none", "/file/below", "/gone/below", "/", ".."])
def test_a_path_that_no_layer_has_is_missing_and_named(tmp_path, path):
    layers = make(tmp_path)
    put(layers.lowers[0] / "file", 1)
    put(layers.lowers[0] / "gone/below", 1)
    with layers.mounted() as merged:
        subprocess.run(["rm", "-r", merged / "gone"], check=True)
    with pytest.raises(Missing):
        which(layers, path)


def test_only_the_directories_on_the_way_are_read(tmp_path):
    layers = make(tmp_path, lowers=2)
    for top in range(20):
        for middle in range(20):
            put(layers.lowers[1] / f"{top}/{middle}/file", 1)
    with Tree(Root(), layers.overlay()) as tree:
        assert tree.directories_read == 0
        assert len(tree.entries("/")) == 20
        assert tree.directories_read == 1
        assert [entry.name for entry in tree.entries("/3/4")] == ["file"]
        assert tree.directories_read == 4


def test_a_renamed_directory_lists_what_it_took_along(tmp_path):
    layers = make(tmp_path)
    put(layers.lowers[0] / "old/kept", 7)
    with layers.mounted("redirect_dir=on") as merged:
        (merged / "old").rename(merged / "new")
    (entry,) = listing(layers, "/new", "redirect_dir=on").values()
    assert entry.path == "/new/kept"
    assert entry.visible is not None
    assert entry.visible.path == "/old/kept"


def test_names_are_told_byte_for_byte(tmp_path):
    layers = make(tmp_path)
    names = [b"n" * 255, b"a\nb", b"\x1b[2J", b"\xff\xfe", b"a\\:b"]
    for name in names:
        os.close(os.open(os.fsencode(layers.lowers[0]) + b"/" + name, os.O_CREAT))
    assert {os.fsencode(name) for name in listing(layers)} == set(names)


def test_a_directory_that_another_mount_covers_is_there_and_empty(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "mnt").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", layers.lowers[0] / "mnt"], check=True)
    try:
        put(layers.lowers[0] / "mnt/file", 10)
        assert listing(layers)["mnt"].visible is not None
        assert listing(layers, "/mnt") == {}
    finally:
        subprocess.run(["umount", layers.lowers[0] / "mnt"], check=True)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(STACKS)
def test_what_shows_in_each_directory_is_what_the_kernel_lists(stack):
    with tempfile.TemporaryDirectory(prefix="l-tree-") as base:
        layers = make(Path(base), lowers=len(stack))
        for lower, things in zip(layers.lowers, stack, strict=True):
            build(lower, things)
        with layers.mounted() as merged, Tree(Root(), layers.overlay()) as tree:
            for where, _, _ in os.walk(merged):
                inside = "/" + os.path.relpath(where, merged)
                check(tree, inside, Path(where))


def check(tree, inside, where):
    shown = {one.name: one.visible for one in tree.entries(inside) if one.visible}
    # Of a directory that one layer alone has, the kernel lists whiteouts too, and then denies them.
    assert set(shown) == {name for name in os.listdir(where) if os.path.lexists(where / name)}
    for name, version in shown.items():
        size = version.size_bytes if version.kind == "file" else None
        assert size in {None, (where / name).stat().st_size}
        supplied = Path(tree.paths[version.layer] + version.path)
        assert supplied.is_dir() == (where / name).is_dir()
