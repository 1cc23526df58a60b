"""Where things are kept, and sockets whose paths must be short."""

import os

import pytest

from runtime import paths
from runtime.errors import PermissionDenied
from runtime.paths import Paths


def test_a_socket_is_below_the_state_directory_where_it_fits():
    place = Paths("/r", "/run/cinspect").socket("a" * 64)
    assert place.startswith("/run/cinspect/s/")
    assert len(place) <= paths.SOCKET_PATH_LIMIT


def test_a_socket_of_a_deep_state_directory_is_elsewhere_and_its_own():
    deep = "/tmp/" + "x" * 120
    places = {
        Paths("/r", deep).socket("a"),
        Paths("/r", deep).socket("b"),
        Paths("/r", deep + "y").socket("a"),
        Paths("/r", deep, "other").socket("a"),
    }
    assert len(places) == 4
    assert all(len(each) <= paths.SOCKET_PATH_LIMIT for each in places)


def test_other_characters_than_ascii_count_as_bytes():
    assert (
        Paths("/r", "/tmp/" + "ü" * 40)
        .socket("a")
        .startswith(("/run/cinspect-s", "/tmp/cinspect-"))
    )


def test_a_private_directory_is_made_and_found_again(tmp_path):
    target = tmp_path / "a" / "b"
    for _ in range(2):
        paths.make_private(str(target))
    assert target.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_directory_is_refused(tmp_path, kind):
    target = tmp_path / "x"
    target.touch() if kind == "file" else target.symlink_to("/tmp")
    with pytest.raises(PermissionDenied):
        paths.make_private(str(target))


@pytest.mark.root
def test_a_directory_of_somebody_else_is_refused(tmp_path):
    target = tmp_path / "x"
    target.mkdir()
    os.chown(target, 1234, 1234)
    with pytest.raises(PermissionDenied, match="not a directory of user 0"):
        paths.make_private(str(target))


def test_users_without_root_get_the_directories_of_xdg(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/u/data")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert paths.default_root() == "/home/u/data/cinspect"
    assert paths.default_state() == "/run/user/1000/cinspect"
