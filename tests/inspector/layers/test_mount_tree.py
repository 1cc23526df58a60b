"""Mounts as a tree: order, depth, what each is for, where the host sees it."""

from hypothesis import given
from hypothesis import strategies as st

from collectors.kernel.mounts import MountInfo
from inspector.domains.mounts import tree


def mount(mount_id=1, parent_id=0, *, point="/", fstype="ext4", root="/", device="8:1", **more):
    return MountInfo(
        mount_id,
        parent_id,
        device,
        root,
        point,
        more.get("options", ("rw",)),
        more.get("propagation", ()),
        fstype,
        more.get("source", "/dev/sda1"),
        more.get("super_options", ()),
    )


def test_children_follow_their_parent_one_deeper():
    listed = [
        mount(1, 0),
        mount(2, 1, point="/a"),
        mount(3, 1, point="/b"),
        mount(4, 2, point="/a/c"),
    ]
    assert [(depth, one.mountpoint) for depth, one in tree.order(listed)] == [
        (0, "/"),
        (1, "/a"),
        (2, "/a/c"),
        (1, "/b"),
    ]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), unique_by=lambda one: one[0]))
def test_every_mount_is_listed_once_whatever_the_parents_are(pairs):
    listed = [mount(mount_id, parent) for mount_id, parent in pairs]
    found = [one.mount_id for _, one in tree.order(listed)]
    assert sorted(found) == sorted(mount_id for mount_id, _ in pairs)


def test_mounts_are_told_apart_by_what_they_are_for():
    kinds = {
        "root": mount(),
        "volume": mount(point="/data", root="/srv/volumes/data"),
        "tmpfs": mount(point="/run", fstype="tmpfs"),
        "kernel": mount(point="/proc", fstype="proc"),
        "mask": mount(point="/proc/kcore", fstype="devtmpfs", root="/null"),
    }
    assert {name: tree.kind(one) for name, one in kinds.items()} == {name: name for name in kinds}
    assert tree.kind(mount(point="/proc/acpi", fstype="tmpfs")) == "mask"
    assert tree.kind(mount(point="/etc/hosts", fstype="tmpfs", root="/x/hosts")) == "volume"


def test_the_size_of_a_tmpfs_is_read_with_its_unit():
    def limit(option):
        return tree.size_limit(mount(fstype="tmpfs", super_options=("rw", option)))

    assert limit("size=65536k") == 64 << 20
    assert limit("size=1g") == 1 << 30
    assert limit("size=4096") == 4096
    assert limit("size=50%") is None
    assert limit("mode=755") is None
    assert tree.size_limit(mount(super_options=("size=1k",))) is None


def test_the_host_sees_a_bind_mount_below_its_own_mount_of_the_filesystem():
    view = tree.HostView([mount(), mount(2, 1, point="/srv", device="8:2", root="/inner")])
    assert view.path(mount(point="/data", root="/var/data")) == "/var/data"
    assert view.path(mount(point="/data", device="8:2", root="/inner/x")) == "/srv/x"
    assert view.path(mount(point="/data", device="8:2", root="/inner-not")) is None
    assert view.path(mount(point="/data", device="9:9")) is None
    assert view.path(mount()) == "/"


def test_propagation_is_a_word():
    def said(*options):
        return tree.propagation(mount(propagation=options))

    assert said() == "private"
    assert said("shared:1") == "shared"
    assert said("master:2", "propagate_from:1") == "slave"
    assert said("shared:3", "master:2") == "shared and slave"
    assert said("unbindable") == "unbindable"
