"""Roots that are no kernel overlay: what can be told of them."""

import pytest

from collectors.kernel.layers import Overlay
from inspector.domains.layers import drivers
from tests.inspector.layers.test_mount_tree import mount


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (mount(fstype="btrfs", super_options=("rw", "subvol=/a/b")), "btrfs subvolume.*: /a/b"),
        (mount(fstype="zfs", source="pool/docker/1"), "ZFS dataset.*: pool/docker/1"),
        (mount(source="/dev/mapper/docker-8:1-2-abc"), "device-mapper volume /dev/mapper/docker-8"),
        (mount(fstype="virtiofs", source="kataShared"), "virtual machine"),
        (mount(fstype="erofs"), "EROFS image"),
        (mount(fstype="fuse.fuse-overlayfs"), "without root"),
        (mount(root="/srv/rootfs"), "directory of the ext4 filesystem on /dev/sda1"),
        (mount(fstype="xfs"), "a xfs filesystem of its own"),
    ],
)
def test_each_driver_is_said_in_words(made, words):
    import re

    assert re.search(words, drivers.said(made, None, ()))


def overlay(**more):
    return Overlay(
        namespace=1,
        device="0:9",
        upperdir=None,
        workdir=None,
        merged=None,
        **{"lowerdirs": ("/image",), "options": (), **more},
    )


def test_an_overlay_over_an_erofs_image_with_data_layers_is_composefs():
    root = mount(fstype="overlay")
    host = [mount(point="/image", fstype="erofs")]
    with_data = overlay(datadirs=("/objects",), options=("metacopy=on",))
    assert "composefs" in drivers.said(root, with_data, host)
    assert "composefs" in drivers.said(root, overlay(options=("verity=require",)), ())
    assert "data-only" in drivers.said(root, with_data, ())
    assert drivers.said(root, overlay(), host).startswith("overlay: ")


def test_a_fuse_overlayfs_command_line_has_the_layers():
    command = (
        "/usr/bin/fuse-overlayfs",
        "-o",
        r"lowerdir=/l/B\:2:/l/A,upperdir=/u\,p/diff,workdir=/u/work,volatile,context=\"a,b\"",
        "/run/user/1000/merged",
    )
    found = drivers.from_command(command)
    assert found is not None
    assert found.lowerdirs == ("/l/B:2", "/l/A")
    assert (found.upperdir, found.workdir) == ("/u,p/diff", "/u/work")
    assert found.merged == "/run/user/1000/merged"
    assert "volatile" in found.options


@pytest.mark.parametrize(
    "command", [(), ("fuse-overlayfs",), ("fuse-overlayfs", "-o"), ("x", "/m")]
)
def test_a_command_line_without_layers_has_none(command):
    assert drivers.from_command(command) is None
