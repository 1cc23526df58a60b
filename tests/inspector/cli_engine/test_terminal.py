"""The caller's terminal: given back as it was, and left by its detach keys."""

import os
import pty
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.cli.engine import terminal
from inspector.cli.engine.terminal import DetachFilter


@given(st.lists(st.binary(max_size=5), max_size=8))
def test_what_is_typed_goes_through_whatever_the_pieces(pieces):
    typed = b"".join(pieces)
    keys = DetachFilter()
    passed = b"".join(keys.feed(piece) for piece in pieces)
    before, found, _ = typed.partition(terminal.DETACH_KEYS)
    assert keys.detached == bool(found)
    # A last ctrl-p may still be held back, for the next key tells what it means.
    assert passed in ({before} if found else {typed, typed.removesuffix(b"\x10")})


def test_a_first_key_twice_is_one_that_was_typed_and_one_that_waits():
    keys = DetachFilter()
    assert keys.feed(b"\x10\x10") == b"\x10"
    assert keys.feed(b"\x11") == b""
    assert keys.detached


@pytest.fixture
def terminals():
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_a_raw_terminal_is_given_back_even_after_a_crash(terminals):
    _, slave = terminals
    before = termios.tcgetattr(slave)

    def crash() -> None:
        with terminal.RawTerminal(slave):
            assert not termios.tcgetattr(slave)[3] & termios.ECHO
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert termios.tcgetattr(slave) == before


def test_a_terminal_that_hung_up_is_no_failure():
    master, slave = pty.openpty()
    try:
        with terminal.RawTerminal(slave):
            os.close(master)
    finally:
        os.close(slave)


def test_the_size_is_the_first_terminals(terminals):
    _, slave = terminals
    termios.tcsetwinsize(slave, (33, 101))
    read, write = os.pipe()
    try:
        assert terminal.size(read, slave) == (101, 33)
        assert terminal.size(read, write) is None
    finally:
        os.close(read)
        os.close(write)


def test_a_closed_descriptor_is_no_terminal():
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    assert not terminal.is_terminal(read)
