"""Frames: every split of the bytes, hostile lengths."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ResourceExhausted
from runtime.ttrpc import codec

frames = st.lists(
    st.tuples(
        st.integers(0, 2**32 - 1),
        st.integers(0, 255),
        st.integers(0, 255),
        st.binary(max_size=40),
    ),
    max_size=6,
)


def plain(found):
    return [(each.stream, each.kind, each.flags, each.payload) for each in found]


@given(frames, st.data())
def test_frames_come_out_whole_however_the_bytes_are_split(wanted, data):
    encoded = b"".join(codec.encode(s, k, p, flags=f) for s, k, f, p in wanted)
    cuts = data.draw(st.lists(st.integers(0, len(encoded)), max_size=8).map(sorted))
    decoder = codec.Decoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(encoded)], strict=True):
        found += decoder.feed(encoded[start:end])
    assert plain(found) == wanted


def test_every_single_split_of_two_frames_gives_the_same():
    encoded = codec.encode(1, codec.REQUEST, b"hello") + codec.encode(3, codec.DATA, b"", flags=5)
    for cut in range(len(encoded) + 1):
        decoder = codec.Decoder()
        found = decoder.feed(encoded[:cut]) + decoder.feed(encoded[cut:])
        assert plain(found) == [(1, 1, 0, b"hello"), (3, 3, 5, b"")]


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_frames_or_wait_for_more(data, step):
    decoder = codec.Decoder()
    for start in range(0, len(data), step):
        for each in decoder.feed(data[start : start + step]):
            assert isinstance(each, codec.Frame | codec.Oversized)


@pytest.mark.parametrize("step", [1000, 1 << 16, 8 << 20])
def test_a_message_that_is_too_long_is_skipped_without_being_kept(step):
    long = codec.MAX_PAYLOAD + 1
    encoded = struct.pack(">IIBB", long, 7, 1, 0) + bytes(long) + codec.encode(9, 1, b"next")
    decoder = codec.Decoder()
    found = []
    for start in range(0, len(encoded), step):
        found += decoder.feed(encoded[start : start + step])
        assert len(decoder._buffer) <= 14
    assert isinstance(found[0], codec.Oversized)
    assert (found[0].stream, found[0].length) == (7, long)
    assert plain(found[1:]) == [(9, 1, 0, b"next")]


def test_the_longest_message_passes_and_one_byte_more_is_refused_before_it_is_sent():
    encoded = codec.encode(1, 1, bytes(codec.MAX_PAYLOAD))
    assert len(codec.Decoder().feed(encoded)[0].payload) == codec.MAX_PAYLOAD
    with pytest.raises(ResourceExhausted, match="4194305 bytes"):
        codec.encode(1, 1, bytes(codec.MAX_PAYLOAD + 1))
