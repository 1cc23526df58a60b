"""Mount options of the spec become flags, attributes and data."""

import pytest

from runtime.init import options
from runtime.linux import constants as c


def test_flags_and_data_are_told_apart():
    parsed = options.parse(["nosuid", "noexec", "mode=755", "size=64k"])
    assert parsed.flags == c.MS_NOSUID | c.MS_NOEXEC
    assert parsed.data == "mode=755,size=64k"


def test_the_last_of_two_opposites_wins():
    assert options.parse(["ro", "rw"]).flags == 0
    assert options.parse(["rw", "ro"]).flags == c.MS_RDONLY


def test_a_bind_is_changed_by_attributes():
    parsed = options.parse(["rbind", "ro", "exec"])
    assert parsed.bind
    assert parsed.rbind
    assert parsed.attributes == (c.MOUNT_ATTR_RDONLY, c.MOUNT_ATTR_NOEXEC)


def test_recursive_options_are_for_all_below():
    parsed = options.parse(["rro", "rnosuid"])
    assert parsed.recursive.set == c.MOUNT_ATTR_RDONLY | c.MOUNT_ATTR_NOSUID
    assert parsed.attributes == (0, 0)
    assert parsed.data == ""


def test_a_time_option_clears_the_field_that_it_sets():
    assert options.parse(["noatime"]).attributes == (c.MOUNT_ATTR_NOATIME, c.MOUNT_ATTR_ATIME)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("rshared", c.MS_SHARED | c.MS_REC),
        ("slave", c.MS_SLAVE),
        ("rprivate", c.MS_PRIVATE | c.MS_REC),
    ],
)
def test_propagation_is_no_data(name: str, flags: int):
    parsed = options.parse([name])
    assert parsed.propagation == flags
    assert parsed.data == ""
