"""Capabilities by name: defaults, additions and removals, and what a host cannot give."""

import pytest

from runtime.errors import InvalidArgument, PermissionDenied
from runtime.linux import caps

ALL = (1 << len(caps.NAMES)) - 1
WITHOUT_RESOURCE = ALL & ~caps.mask(["SYS_RESOURCE"])


def test_there_are_41_names_in_the_kernels_order():
    assert len(caps.NAMES) == 41
    assert caps.NAMES[21] == "CAP_SYS_ADMIN"
    assert caps.NAMES[40] == "CAP_CHECKPOINT_RESTORE"


def test_the_default_set_is_a80425fb():
    assert caps.mask(caps.choose((), (), available=ALL)) == 0xA80425FB


def test_names_go_with_and_without_prefix_in_any_case():
    for name in ("net_admin", "NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin"):
        assert "CAP_NET_ADMIN" in caps.choose((name,), (), available=ALL)


def test_dropping_all_leaves_what_is_added():
    assert caps.choose(("CHOWN",), ("ALL",), available=ALL) == ("CAP_CHOWN",)


def test_adding_all_leaves_out_what_is_dropped_and_what_is_not_there():
    chosen = caps.choose(("ALL",), ("MKNOD",), available=WITHOUT_RESOURCE)
    assert set(caps.NAMES) - set(chosen) == {"CAP_MKNOD", "CAP_SYS_RESOURCE"}


def test_an_unknown_name_is_refused_by_name():
    with pytest.raises(InvalidArgument, match="CAP_NONSENSE"):
        caps.choose(("CAP_NONSENSE",), (), available=ALL)
    with pytest.raises(InvalidArgument, match="NONSENSE"):
        caps.choose((), ("nonsense",), available=ALL)


def test_asking_for_what_the_host_lacks_is_refused_by_name():
    with pytest.raises(PermissionDenied, match="CAP_SYS_RESOURCE"):
        caps.choose(("SYS_RESOURCE",), (), available=WITHOUT_RESOURCE)


def test_a_default_that_the_host_lacks_is_left_out():
    available = ALL & ~caps.mask(["MKNOD"])
    assert "CAP_MKNOD" not in caps.choose((), (), available=available)


def test_masks_and_names_are_each_others_inverse():
    assert caps.mask(caps.names(0x1FFFEFFFFFF)) == 0x1FFFEFFFFFF
    assert caps.names(1 << 60) == ("CAP_60",)
