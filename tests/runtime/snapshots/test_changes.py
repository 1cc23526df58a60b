"""What a container changed, on real overlay mounts."""

import os
import shutil

import pytest

from runtime.linux import mounts
from runtime.snapshots import changes
from runtime.snapshots.overlay import Layers

pytestmark = pytest.mark.root


@pytest.fixture
def overlay(tmp_path):
    """Two lower layers, mounted; gives the layers and the merged root."""
    for name in (
        "upper",
        "work",
        "merged",
        "top/etc",
        "bottom/etc/deep",
        "bottom/var",
        "bottom/gone",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "top" / "etc" / "top").write_text("1")
    for name in ("etc/passwd", "etc/deep/x", "var/a", "var/b", "gone/c", "file"):
        (tmp_path / "bottom" / name).write_text("1")
    layers = Layers(
        (str(tmp_path / "top"), str(tmp_path / "bottom")),
        str(tmp_path / "upper"),
        str(tmp_path / "work"),
    )
    root = tmp_path / "merged"
    mounts.mount("overlay", str(root), fstype="overlay", data=",".join(layers.mount_options))
    yield layers, root
    mounts.unmount(str(root))


def told(layers):
    return {(change.kind, change.path) for change in changes.of(layers)}


def test_nothing_changed_is_nothing_told(overlay):
    assert told(overlay[0]) == set()


def test_what_is_added_changed_and_deleted_is_told_with_its_directories(overlay):
    layers, root = overlay
    (root / "new").write_text("x")
    (root / "etc" / "passwd").write_text("x")
    (root / "var" / "a").unlink()
    (root / "etc" / "deep" / "y").write_text("x")
    (root / "made" / "below").mkdir(parents=True)
    assert told(layers) == {
        ("A", "/new"),
        ("C", "/etc"),
        ("C", "/etc/passwd"),
        ("C", "/etc/deep"),
        ("A", "/etc/deep/y"),
        ("C", "/var"),
        ("D", "/var/a"),
        ("A", "/made"),
        ("A", "/made/below"),
    }


def test_a_deleted_directory_is_told_once(overlay):
    layers, root = overlay
    shutil.rmtree(root / "gone")
    assert told(layers) == {("D", "/gone")}


def test_a_directory_made_anew_hides_what_was_in_it(overlay):
    layers, root = overlay
    shutil.rmtree(root / "var")
    (root / "var").mkdir()
    (root / "var" / "b").write_text("new")
    assert told(layers) == {("C", "/var"), ("D", "/var/a"), ("C", "/var/b")}


def test_what_a_directory_made_anew_hides_is_told_at_every_depth(overlay):
    layers, root = overlay
    shutil.rmtree(root / "etc")
    (root / "etc" / "deep").mkdir(parents=True)
    assert told(layers) == {
        ("C", "/etc"),
        ("C", "/etc/deep"),
        ("D", "/etc/passwd"),
        ("D", "/etc/top"),
        ("D", "/etc/deep/x"),
    }


def test_a_file_in_place_of_a_directory_and_the_other_way(overlay):
    layers, root = overlay
    shutil.rmtree(root / "gone")
    (root / "gone").write_text("now a file")
    (root / "file").unlink()
    (root / "file").mkdir()
    (root / "file" / "inner").touch()
    assert told(layers) == {("C", "/gone"), ("C", "/file"), ("A", "/file/inner")}


def test_what_was_made_and_deleted_again_is_not_told(overlay):
    layers, root = overlay
    (root / "brief").write_text("x")
    (root / "brief").unlink()
    assert told(layers) == set()


def test_a_change_of_mode_is_a_change_and_links_are_not_followed(overlay):
    layers, root = overlay
    (root / "etc" / "top").chmod(0o600)
    os.symlink("/etc", root / "link")
    assert told(layers) == {("C", "/etc"), ("C", "/etc/top"), ("A", "/link")}


def test_changes_are_in_order_of_their_paths(overlay):
    layers, root = overlay
    for name in ("b", "a", "etc/z", "etc/a"):
        (root / name).touch()
    paths = [change.path for change in changes.of(layers)]
    assert paths == sorted(paths)
