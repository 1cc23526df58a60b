"""What was typed is understood in the ways that fit, and what cannot be is refused with a hint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.errors import WrongUsage
from inspector.owner import question


def kinds(what):
    return [one.kind for one in question.parse(what)]


@pytest.mark.parametrize(
    ("what", "kind", "value"),
    [
        ("pid:12", "pid", "12"),
        ("pid:7@web", "pid", "7@web"),
        ("veth:veth1a", "interface", "veth1a"),
        ("if:eth0", "interface", "eth0"),
        ("port:8080/udp", "port", "8080/udp"),
        ("port:[::1]:80", "port", "[::1]:80"),
        ("conn:10.0.0.2:1->10.0.0.3:2", "connection", "10.0.0.2:1->10.0.0.3:2"),
        ("path:a:b", "path", "a:b"),
        ("fd:12/3", "fd", "12/3"),
        ("inode:9", "inode", "9"),
        ("socket:[9]", "inode", "9"),
        ("cgroup:/a", "cgroup", "/a"),
        ("ns:4026532256", "namespace", "4026532256"),
        ("net:[4026532256]", "namespace", "4026532256"),
        ("mount:31", "mount", "31"),
        ("id:web", "container", "web"),
    ],
)
def test_a_prefix_leaves_one_way(what, kind, value):
    (one,) = question.parse(what)
    assert (one.kind, one.value, one.explicit) == (kind, value, True)


@pytest.mark.parametrize(
    ("what", "first"),
    [
        ("4242", "pid"),
        ("7@web", "pid"),
        ("web", "container"),
        ("veth12@if3", "container"),
        ("/var/lib", "path"),
        ("./here", "path"),
        ("/proc/12/fd/3", "fd"),
        ("/sys/fs/cgroup/memory/a", "cgroup"),
        ("10.0.0.2", "address"),
        ("fd00::2", "address"),
        ("10.0.0.2:80", "connection"),
        ("[fd00::2]:80", "connection"),
        (":80", "port"),
        ("80/tcp", "port"),
    ],
)
def test_a_guess_begins_with_the_likeliest(what, first):
    assert kinds(what)[0] == first
    assert not any(one.explicit for one in question.parse(what))


def test_a_number_that_is_no_port_is_not_taken_for_one():
    assert "port" in kinds("65535")
    assert "port" not in kinds("65536")


@pytest.mark.parametrize(
    "what",
    [
        "",
        "pid:",
        "pid:abc",
        "pid:7@",
        "pid:-1",
        "pid:٣",
        "port:99999",
        "port:a:80",
        "conn:80",
        "conn:10.0.0.1",
        "fd:12",
        "ns:net",
        "inode:0x1",
        "ip:999.1.1.1",
        "disk:[1]",
        "a\0b",
    ],
)
def test_what_cannot_be_is_refused(what):
    with pytest.raises(WrongUsage):
        question.parse(what)


def test_a_refusal_says_what_to_say():
    with pytest.raises(WrongUsage, match="fd:PID/NUMBER"):
        question.parse("fd:nothing")


@given(st.text(max_size=60))
def test_whatever_is_typed_there_are_questions_or_a_refusal(what):
    try:
        assert question.parse(what)
    except WrongUsage:
        return
