"""mountinfo: hand-written lines, lines made by hypothesis, and findmnt(8) as the second reader."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import FormatError
from runtime.formats import mountinfo
from runtime.formats.mountinfo import MountInfo
from tests import requirements

LINE = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"


def test_every_field_of_the_manual_pages_line_is_read():
    assert mountinfo.parse(LINE) == (
        MountInfo(
            36,
            35,
            "98:0",
            "/mnt1",
            "/mnt2",
            ("rw", "noatime"),
            ("master:1",),
            "ext3",
            "/dev/root",
            ("rw", "errors=continue"),
        ),
    )


def test_a_private_mount_has_no_optional_field():
    (mount,) = mountinfo.parse(b"1 0 0:1 / / rw - tmpfs tmpfs rw\n")
    assert mount.propagation == ()


def test_any_number_of_optional_fields_is_taken_unknown_ones_too():
    (mount,) = mountinfo.parse(
        b"1 0 0:1 / / rw shared:1 master:2 propagate_from:3 unbindable new:4 - tmpfs t rw\n"
    )
    assert mount.propagation == ("shared:1", "master:2", "propagate_from:3", "unbindable", "new:4")


def test_octal_escapes_are_undone_in_paths_and_sources():
    (mount,) = mountinfo.parse(
        rb"1 0 0:1 /a\040b /c\011d\012e\134f\043 rw - fuse.x\040y s\040t rw" + b"\n"
    )
    assert (mount.root, mount.mountpoint) == ("/a b", "/c\td\ne\\f#")
    assert (mount.fstype, mount.source) == ("fuse.x y", "s t")


def test_an_escaped_backslash_does_not_begin_another_escape():
    (mount,) = mountinfo.parse(rb"1 0 0:1 / /a\134040 rw - tmpfs t rw" + b"\n")
    assert mount.mountpoint == "/a\\040"


def test_a_comma_within_a_super_option_does_not_part_it():
    (mount,) = mountinfo.parse(
        rb"1 0 0:1 / / rw - overlay o rw,lowerdir=/a\054b:/c,xino=off" + b"\n"
    )
    assert mount.super_options == ("rw", "lowerdir=/a,b:/c", "xino=off")


def test_a_quoted_security_context_keeps_its_commas():
    line = b'1 0 0:1 / / rw - tmpfs t rw,context="u:r:t:s0:c1,c2",seclabel\n'
    assert mountinfo.parse(line)[0].super_options == ("rw", 'context="u:r:t:s0:c1,c2"', "seclabel")


def test_a_quote_in_a_path_does_not_swallow_the_next_option():
    line = b'1 0 0:1 / / rw - overlay o rw,lowerdir=/a"b,upperdir=/c"\n'
    assert mountinfo.parse(line)[0].super_options == ("rw", 'lowerdir=/a"b', 'upperdir=/c"')


def test_an_empty_source_is_an_empty_source():
    (mount,) = mountinfo.parse(b"1 0 0:1 / /x rw - tmpfs  rw\n")
    assert (mount.source, mount.super_options) == ("", ("rw",))


def test_a_carriage_return_in_a_name_does_not_end_the_line():
    (mount,) = mountinfo.parse(b"1 0 0:1 / /a\rb rw - tmpfs t rw\n")
    assert mount.mountpoint == "/a\rb"


def test_bytes_that_are_no_utf8_come_back_by_fsencode():
    (mount,) = mountinfo.parse(b"1 0 0:1 / /\xff\\351 rw - tmpfs t rw\n")
    assert os.fsencode(mount.mountpoint) == b"/\xff\xe9"


def test_a_utf8_name_escaped_byte_by_byte_is_whole_again():
    (mount,) = mountinfo.parse(rb"1 0 0:1 / /\303\251 rw - tmpfs t rw" + b"\n")
    assert mount.mountpoint == "/é"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"36",
        b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 ext3 /dev/root rw",
        b"36 35 98:0 /mnt1 /mnt2 rw - ext3 /dev/root",
        b"36 35 98:0 /mnt1 /mnt2 rw - ext3 /dev/root rw more",
        b"x 35 98:0 /mnt1 /mnt2 rw - ext3 /dev/root rw",
        b"36 35 980 /mnt1 /mnt2 rw - ext3 /dev/root rw",
        "36 35 ٩8:0 /mnt1 /mnt2 rw - ext3 /dev/root rw".encode(),
    ],
)
def test_a_line_that_is_none_is_refused(line):
    with pytest.raises(FormatError, match="mountinfo"):
        mountinfo.parse(LINE + line + b"\n")


def test_a_file_torn_within_a_line_is_refused():
    with pytest.raises(FormatError, match="middle of a line"):
        mountinfo.parse(LINE + LINE[:-1])


def test_an_empty_file_has_no_mounts():
    assert mountinfo.parse(b"") == ()


@given(st.binary())
def test_whatever_the_bytes_the_answer_is_mounts_or_a_format_error(data):
    try:
        mounts = mountinfo.parse(data)
    except FormatError:
        return
    assert all(isinstance(mount.mountpoint, str) for mount in mounts)


def test_lines_that_are_alike_but_for_their_numbers_are_understood_once():
    known = {}
    (first,) = mountinfo.parse(LINE, known)
    (second,) = mountinfo.parse(LINE.replace(b"36 35", b"72 71"), known)
    assert second == first._replace(mount_id=72, parent_id=71)
    assert second.super_options is first.super_options
    assert len(known) == 1


@given(st.lists(st.sampled_from([LINE, LINE.replace(b"1", b"2"), b"1 0 0:1 / /x rw - t  r\n"])))
def test_whatever_was_understood_before_a_file_says_the_same(lines):
    known = {}
    for _ in range(2):
        assert mountinfo.parse(b"".join(lines), known) == mountinfo.parse(b"".join(lines))


def test_a_line_that_was_refused_is_refused_again():
    known = {}
    for _ in range(2):
        with pytest.raises(FormatError, match="not a mountinfo line"):
            mountinfo.parse(b"1 0 0:1 / / rw - tmpfs\n", known)


def _mangle(text: bytes, also: bytes = b"") -> bytes:
    """What the kernel's mangle() and seq_escape() do."""
    return b"".join(
        b"\\%03o" % byte if byte in b" \t\n\\#" + also else bytes((byte,)) for byte in text
    )


name = st.binary(min_size=1, max_size=40).filter(lambda text: b"\0" not in text)
option = name.filter(lambda text: b"," not in text)


@given(root=name, point=name, source=name, layers=st.lists(option, min_size=1, max_size=5))
def test_what_the_kernel_escapes_comes_back_byte_for_byte(root, point, source, layers):
    line = b"7 6 0:44 /%s /%s rw shared:9 - overlay %s %s\n" % (
        _mangle(root),
        _mangle(point),
        _mangle(source),
        b",".join(b"lowerdir+=" + _mangle(layer, b",=") for layer in layers),
    )
    (mount,) = mountinfo.parse(line)
    assert os.fsencode(mount.root) == b"/" + root
    assert os.fsencode(mount.mountpoint) == b"/" + point
    assert os.fsencode(mount.source) == source
    assert tuple(os.fsencode(one) for one in mount.super_options) == tuple(
        b"lowerdir+=" + layer for layer in layers
    )


def test_findmnt_reads_the_same_of_this_host():
    requirements.commands("findmnt")
    listed = json.loads(
        subprocess.run(
            [
                "findmnt",
                "--kernel",
                "--list",
                "--json",
                "--output",
                "ID,PARENT,MAJ:MIN,FSROOT,TARGET,VFS-OPTIONS,FSTYPE,FS-OPTIONS",
            ],
            capture_output=True,
            check=True,
        ).stdout
    )["filesystems"]
    mounts = mountinfo.parse(Path("/proc/self/mountinfo").read_bytes())
    assert [
        (
            int(one["id"]),
            int(one["parent"]),
            one["maj:min"],
            one["fsroot"],
            one["target"],
            one["vfs-options"],
            one["fstype"],
            one["fs-options"],
        )
        for one in listed
    ] == [
        (
            mount.mount_id,
            mount.parent_id,
            mount.device,
            mount.root,
            mount.mountpoint,
            ",".join(mount.options),
            mount.fstype,
            ",".join(mount.super_options),
        )
        for mount in mounts
    ]
