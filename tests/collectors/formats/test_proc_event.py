"""The proc connector's messages: what a kernel sent, and bytes that no kernel sends."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats import proc_event
from runtime.errors import FormatError

# As Linux 6.18 sent them for one `true`: a fork, a new program, an end.
FORK = bytes.fromhex(
    "4c0000000300000001000000000000000100000001000000010000000000000028000000010000000100000002"
    "95ef3b95000000fb210000fb21000025220000252200000000000000000000"
)
EXEC = bytes.fromhex(
    "4c0000000300000002000000000000000100000001000000020000000000000028000000020000000100000"
    "0c7b1133c95000000252200002522000000000000000000000000000000000000"
)
EXIT = bytes.fromhex(
    "4c00000003000000030000000000000001000000010000000300000000000000280000000000008001000000"
    "72f21a3c9500000025220000252200000001000011000000fb210000fb210000"
)


def test_what_a_kernel_sent_is_read():
    (fork,), (program,), (end,) = map(list, map(proc_event.parse, (FORK, EXEC, EXIT)))
    assert (fork.kind, fork.pid, fork.thread, fork.parent) == ("fork", 8741, 8741, 8699)
    assert (fork.cpu, fork.sequence, fork.nanoseconds) == (1, 1, 0x953BEF9502)
    assert (program.kind, program.pid) == ("exec", 8741)
    assert (end.kind, end.pid, end.status) == ("exit", 8741, 256)


def test_a_birth_of_a_thread_is_told_from_that_of_a_process():
    (told,) = proc_event.parse(FORK[:60] + struct.pack("=II", 7, 8741) + FORK[68:])
    assert (told.pid, told.thread) == (8741, 7)


def test_several_messages_in_one_datagram_are_all_read():
    assert [one.kind for one in proc_event.parse(FORK + EXEC + EXIT)] == ["fork", "exec", "exit"]


def test_another_connectors_message_is_none():
    assert list(proc_event.parse(FORK[:16] + struct.pack("=I", 9) + FORK[20:])) == []


@pytest.mark.parametrize("length", [1, 15, 17, 40, 75])
def test_a_torn_message_is_refused(length):
    with pytest.raises(FormatError):
        list(proc_event.parse(FORK[:length]))


def test_an_event_that_is_shorter_than_its_kind_is_refused():
    torn = struct.pack("=IHHII", 56, 3, 0, 0, 0) + struct.pack("=IIIIHH", 1, 1, 0, 0, 20, 0)
    with pytest.raises(FormatError, match="fork"):
        list(proc_event.parse(torn + struct.pack("=IIQ", 1, 0, 5) + b"\0" * 4))


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(data):
    with contextlib.suppress(FormatError):
        list(proc_event.parse(data))


@given(st.integers(0, 75), st.integers(0, 255))
def test_a_message_with_any_byte_changed_is_read_or_refused(at, value):
    with contextlib.suppress(FormatError):
        list(proc_event.parse(FORK[:at] + bytes([value]) + FORK[at + 1 :] + EXIT))
