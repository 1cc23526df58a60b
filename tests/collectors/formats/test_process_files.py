"""The parsers of /proc/PID on what real kernels print, and on what processes call themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats import cmdline, ns_link, pid_cgroup, pid_stat, pid_status
from collectors.formats.pid_cgroup import CgroupEntry
from runtime.errors import FormatError
from runtime.formats import text

STAT = (
    b"1187 (%b) S 836 831 831 0 -1 4194304 372 0 0 0 3 7 0 0 20 0 2 0 2867 2961408 422 "
    b"18446744073709551615 365788053504 365788071433 548674755888 0 0 0 0 4096 0 1 0 0 17 0 0 0 0 "
    b"0 0 365788085520 365788086784 365788094464 548674756345 548674756356 548674756356 "
    b"548674756585 0\n"
)


def test_stat_gives_each_field_from_its_own_position():
    assert pid_stat.parse(STAT % b"sleep")._replace(program=()) == pid_stat.PidStat(
        pid=1187,
        comm="sleep",
        state="S",
        ppid=836,
        kernel_thread=False,
        utime_ticks=3,
        stime_ticks=7,
        threads=2,
        start_ticks=2867,
        rss_pages=422,
    )


@pytest.mark.parametrize(
    ("name", "comm"),
    [
        (b"a) S 1 1 (b", "a) S 1 1 (b"),
        (b"((", "(("),
        (b"))", "))"),
        (b"line\nend", "line\nend"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"\x1b[31mred", "\x1b[31mred"),
        (b"", ""),
        ("größe".encode(), "größe"),
    ],
)
def test_a_name_may_be_anything(name: bytes, comm: str):
    stat = pid_stat.parse(STAT % name)
    assert (stat.comm, stat.state, stat.ppid, stat.start_ticks) == (comm, "S", 836, 2867)
    assert pid_stat.start_ticks(STAT % name) == 2867


@given(name=st.binary(max_size=15))
def test_no_name_moves_the_fields_behind_it(name: bytes):
    stat = pid_stat.parse(STAT % name)
    assert (stat.pid, stat.state, stat.threads, stat.rss_pages) == (1187, "S", 2, 422)


def test_a_kernel_thread_is_told_by_its_flag_not_by_its_name():
    line = (
        b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 8 0 0 0" + b" 0" * 28 + b"\n"
    )
    assert pid_stat.parse(line).kernel_thread
    assert not pid_stat.parse(STAT % b"kthreadd").kernel_thread


@pytest.mark.parametrize("size", [0, 10, 40, 60])
def test_a_torn_stat_is_an_error_that_shows_it(size: int):
    with pytest.raises(FormatError, match="not a process's stat"):
        pid_stat.parse((STAT % b"sleep")[:size])


STATUS = b"""Name:\tUid:\\n0
Umask:\t0022
Uid:\t1000\t1001\t1002\t1003
Gid:\t100\t101\t102\t103
NSpid:\t1078\t12\t1
CapInh:\t0000000000000000
CapPrm:\t00000000a80425fb
CapEff:\t0000000000000400
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000001
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t1
"""


def test_status_gives_effective_ids_and_each_set_of_capabilities():
    assert pid_status.parse(STATUS) == pid_status.PidStatus(
        uid=1001,
        gid=101,
        namespace_pids=(1078, 12, 1),
        cap_inheritable=0,
        cap_permitted=0xA80425FB,
        cap_effective=0x400,
        cap_bounding=0x1FFFFFFFFFF,
        cap_ambient=1,
        no_new_privs=True,
        seccomp=2,
    )


def test_what_an_old_kernel_does_not_print_is_unknown():
    kept = [
        line
        for line in STATUS.splitlines(keepends=True)
        if not line.startswith((b"NSpid", b"CapAmb", b"NoNewPrivs", b"Seccomp"))
    ]
    status = pid_status.parse(b"".join(kept))
    assert (status.namespace_pids, status.no_new_privs, status.seccomp) == ((), None, None)


def test_a_torn_status_is_an_error():
    with pytest.raises(FormatError):
        pid_status.parse(STATUS[: STATUS.index(b"CapBnd")])


def test_a_cgroup_path_keeps_its_colons():
    data = b"8:cpu,cpuacct:/a:b/c\n1:name=systemd:/x\n0::/system.slice/a b.scope\n"
    assert pid_cgroup.parse(data) == (
        CgroupEntry(8, ("cpu", "cpuacct"), "/a:b/c"),
        CgroupEntry(1, ("name=systemd",), "/x"),
        CgroupEntry(0, (), "/system.slice/a b.scope"),
    )


@pytest.mark.parametrize("data", [b"0:/x\n", b"x:cpu:/\n", b"0::relative\n", b"4:memory:\n"])
def test_a_cgroup_line_without_its_three_fields_is_an_error(data: bytes):
    with pytest.raises(FormatError):
        pid_cgroup.parse(data)


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (b"", ()),
        (b"sleep\x001000\x00", ("sleep", "1000")),
        (b"sh\x00-c\x00\x00x\x00", ("sh", "-c", "", "x")),
        (b"nginx: worker process", ("nginx: worker process",)),
        (b"\xc3\x28\x00", ("\\xc3(",)),
    ],
)
def test_a_command_line_is_split_at_its_zero_bytes(data: bytes, command: tuple[str, ...]):
    assert cmdline.parse(data) == command


@given(
    st.lists(st.sampled_from((b"\0", b"\xe2", b"\x82", b"\xac", b"a", b"\xf0\x9f"))).map(b"".join)
)
def test_each_argument_is_decoded_as_if_it_stood_alone(data: bytes):
    alone = tuple(text.decode(one) for one in data.removesuffix(b"\0").split(b"\0"))
    assert cmdline.parse(data) == (alone if data else ())


@pytest.mark.parametrize("link", ["pipe:[1", "/net:[1]", "net:[x]", "net:1", "", "net:[1]x"])
def test_what_is_no_link_to_a_namespace_is_an_error(link: str):
    with pytest.raises(FormatError):
        ns_link.parse(link)


def test_a_link_to_a_namespace_gives_its_type_and_inode():
    assert ns_link.parse("net:[4026531840]") == ("net", 4026531840)
