"""Users by name and number, from the container's own files, however odd those are."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidArgument
from runtime.init import users

PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
# a comment
web:x:33:44:Web:/var/www:/bin/false
torn:x:77
bad:x:ten:4::/:
1000:x:5:6::/odd:
huge:x:99999999999:1::/:
"""
GROUP = b"root:x:0:\nweb:x:44:\nlogs:x:50:root,web\nmore:x:51:web\nbroken\nnan:x:x:web\n"


def resolve(wanted: str) -> users.User:
    return users.resolve(wanted, passwd=PASSWD, group=GROUP)


def test_nobody_asked_for_is_root():
    assert resolve("") == users.User(0, 0, (50,), "/root")


def test_a_name_gets_its_group_groups_and_home():
    assert resolve("web") == users.User(33, 44, (50, 51), "/var/www")


def test_a_number_in_the_file_is_the_same_as_its_name():
    assert resolve("33") == resolve("web")


def test_a_number_in_no_file_stands_for_itself():
    assert resolve("4242") == users.User(4242, 0, (), None)


def test_a_name_that_looks_like_a_number_comes_first():
    assert resolve("1000").uid == 5


def test_a_group_given_replaces_all_groups():
    assert resolve("web:logs") == users.User(33, 50, (), "/var/www")
    assert resolve("web:7") == users.User(33, 7, (), "/var/www")
    assert resolve(":logs") == users.User(0, 50, (), "/root")


@pytest.mark.parametrize("wanted", ["ghost", "torn", "bad", "huge", "-1", "4294967295", "1e3", "٣"])
def test_who_is_not_there_is_named(wanted: str):
    with pytest.raises(InvalidArgument, match="no user"):
        resolve(wanted)


def test_a_group_that_is_not_there_is_named():
    with pytest.raises(InvalidArgument, match="no group 'ghosts'"):
        resolve("root:ghosts")


@given(passwd=st.binary(), group=st.binary(), wanted=st.text(max_size=20))
def test_hostile_files_give_a_user_or_a_clear_refusal(passwd: bytes, group: bytes, wanted: str):
    try:
        user = users.resolve(wanted, passwd=passwd, group=group)
    except InvalidArgument:
        return
    assert 0 <= user.uid < 2**32 - 1
    assert 0 <= user.gid < 2**32 - 1


def test_a_fifo_in_place_of_passwd_is_refused_and_not_waited_for(tmp_path):
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    root = os.open(tmp_path, os.O_PATH)
    try:
        with pytest.raises(InvalidArgument, match="regular file"):
            users.read_database(root, "/etc/passwd")
        assert users.read_database(root, "/etc/group") == b""
    finally:
        os.close(root)


def test_a_link_out_of_the_root_stays_inside(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/../../../../../../etc/shadow")
    root = os.open(tmp_path, os.O_PATH)
    try:
        assert users.read_database(root, "/etc/passwd") == b""
    finally:
        os.close(root)
