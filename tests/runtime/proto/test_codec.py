"""The table codec against Google's own, and against bytes that nobody should send."""

import pytest
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import FormatError
from runtime.proto import events, metrics, task, wellknown
from runtime.proto.codec import (
    BOOL,
    BYTES,
    DOUBLE,
    INT32,
    INT64,
    STRING,
    UINT32,
    UINT64,
    Message,
    Repeated,
    StringMap,
)

TYPES = {
    STRING: 9,
    BYTES: 12,
    BOOL: 8,
    UINT32: 13,
    UINT64: 4,
    INT32: 5,
    INT64: 3,
    DOUBLE: 1,
}


class Part(Message):
    FIELDS = ((1, "text", STRING), (2, "number", INT32))
    text: str = ""
    number: int = 0


class Everything(Message):
    FIELDS = (
        (1, "text", STRING),
        (2, "data", BYTES),
        (3, "flag", BOOL),
        (4, "u32", UINT32),
        (5, "u64", UINT64),
        (6, "i32", INT32),
        (7, "i64", INT64),
        (8, "real", DOUBLE),
        (9, "part", Part),
        (10, "parts", Repeated(Part)),
        (11, "texts", Repeated(STRING)),
        (12, "numbers", Repeated(UINT64)),
        (13, "labels", StringMap()),
        (2047, "far", STRING),
    )
    text: str = ""
    data: bytes = b""
    flag: bool = False
    u32: int = 0
    u64: int = 0
    i32: int = 0
    i64: int = 0
    real: float = 0.0
    part: Part | None = None
    parts = ()
    texts = ()
    numbers = ()
    labels = {}  # noqa: RUF012
    far: str = ""


def google_class(kind):
    """Build the same message with Google's library from our table."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{kind.__name__}.proto", package="t", syntax="proto3"
    )
    done = set()

    def add(cls):
        if cls.__name__ in done:
            return
        done.add(cls.__name__)
        out = file.message_type.add(name=cls.__name__)
        for number, name, declared in cls.FIELDS:
            what = declared.kind if isinstance(declared, Repeated) else declared
            label = 3 if isinstance(declared, Repeated) else 1
            field = out.field.add(name=name, number=number, label=label)
            if isinstance(what, StringMap):
                entry = out.nested_type.add(name=f"{name.capitalize()}Entry")
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, type=9, label=1)
                entry.field.add(name="value", number=2, type=9, label=1)
                field.label, field.type = 3, 11
                field.type_name = f".t.{cls.__name__}.{name.capitalize()}Entry"
            elif isinstance(what, str):
                field.type = TYPES[what]
            else:
                add(what)
                field.type, field.type_name = 11, f".t.{what.__name__}"

    add(kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{kind.__name__}"))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
parts = st.builds(Part, text=texts, number=st.integers(-(2**31), 2**31 - 1))
everything = st.builds(
    Everything,
    text=texts,
    data=st.binary(max_size=20),
    flag=st.booleans(),
    u32=st.integers(0, 2**32 - 1),
    u64=st.integers(0, 2**64 - 1),
    i32=st.integers(-(2**31), 2**31 - 1),
    i64=st.integers(-(2**63), 2**63 - 1),
    real=st.floats(allow_nan=False),
    part=st.none() | parts,
    parts=st.lists(parts, max_size=3),
    texts=st.lists(texts, max_size=3),
    numbers=st.lists(st.integers(0, 2**64 - 1), max_size=3),
    labels=st.dictionaries(texts, texts, max_size=3),
    far=texts,
)
GOOGLE = google_class(Everything)


@given(everything)
def test_a_message_comes_back_as_it_was(message):
    decoded = Everything.decode(message.encode())
    assert decoded == message
    assert decoded.numbers == message.numbers or not message.numbers


@given(everything)
def test_google_reads_what_we_write_and_we_read_what_google_writes(message):
    theirs = GOOGLE.FromString(message.encode())
    assert (theirs.text, theirs.data, theirs.flag) == (message.text, message.data, message.flag)
    assert (theirs.u32, theirs.u64) == (message.u32, message.u64)
    assert (theirs.i32, theirs.i64) == (message.i32, message.i64)
    assert list(theirs.numbers) == list(message.numbers)
    assert dict(theirs.labels) == message.labels
    # Google packs repeated numbers and orders maps in its own way: both must be read
    assert Everything.decode(theirs.SerializeToString()) == message


@given(st.binary(max_size=200))
def test_hostile_bytes_are_a_message_or_a_format_error(data):
    for kind in (Everything, task.CreateTaskRequest, events.ForwardRequest, wellknown.Response):
        try:
            message = kind.decode(data)
        except FormatError:
            continue
        assert isinstance(message, kind)


@given(everything, st.data())
def test_a_message_cut_short_never_reads_past_its_end(message, data):
    encoded = message.encode()
    cut = encoded[: data.draw(st.integers(0, len(encoded)))]
    try:
        Everything.decode(cut)
    except FormatError:
        pass
    else:
        GOOGLE.FromString(cut)  # what we take as whole, Google takes as whole


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\xff\xff\xff\xff\x7f",  # a length of 32 GiB
        b"\x0a\x05abc",  # shorter than it says
        b"\x80" * 11,  # a varint without end
        b"\x00\x00",  # field number 0
        b"\x0b\x0c",  # a group
        b"\x0a\x02\xff\xfe",  # no UTF-8
        b"\x41\x00",  # a double of one byte
    ],
)
def test_damage_is_named(data):
    with pytest.raises(FormatError):
        Everything.decode(data)


def test_unknown_fields_and_wrong_wire_types_are_skipped():
    # field 99 as each wire type, then field 1 as a number, then field 1 as text
    data = b"\x98\x06\x05" + b"\x99\x06" + bytes(8) + b"\x9a\x06\x02ab" + b"\x9d\x06" + bytes(4)
    assert Everything.decode(data + b"\x08\x07" + b"\x0a\x01x").text == "x"


def test_a_message_that_comes_twice_is_merged():
    first, second = Everything(part=Part(text="a")), Everything(part=Part(number=2))
    assert Everything.decode(first.encode() + second.encode()).part == Part(text="a", number=2)


def test_defaults_take_no_bytes_but_an_empty_message_is_present():
    assert Everything().encode() == b""
    assert Everything.decode(Everything(part=Part()).encode()).part == Part()


def test_a_misspelt_field_is_refused():
    with pytest.raises(AttributeError, match="txet"):
        Part(txet="x")


def test_timestamps_and_anys_are_googles():
    stamp = wellknown.Timestamp.of(1_700_000_000_123_456_789)
    theirs = timestamp_pb2.Timestamp.FromString(stamp.encode())
    assert (theirs.seconds, theirs.nanos) == (1_700_000_000, 123_456_789)
    assert stamp.nanoseconds == 1_700_000_000_123_456_789
    holder = any_pb2.Any(type_url="a.B", value=b"\x00\x01")
    decoded = wellknown.Any.decode(holder.SerializeToString())
    assert (decoded.type_url, decoded.value) == ("a.B", b"\x00\x01")


MESSAGES = [
    kind
    for module in (task, events, metrics, wellknown)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message
]


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_table_is_a_valid_message_and_its_numbers_and_names_are_unique(kind):
    numbers = [number for number, _, _ in kind.FIELDS]
    assert len(set(numbers)) == len(numbers)
    assert all(hasattr(kind, name) for _, name, _ in kind.FIELDS)
    assert kind.decode(kind().encode()) == kind()
    if kind.FIELDS:
        google_class(kind)


def test_cgroup_numbers_become_containerds_metrics():
    stats = {
        "cpu": {"usage_usec": 5, "user_usec": 3, "system_usec": 2, "periods": 1},
        "memory": {"usage_bytes": 10, "limit_bytes": -1, "stat": {"rss": 4}},
        "pids": {"current": 2, "limit": -1},
    }
    name, first = metrics.of(stats)
    assert name == "io.containerd.cgroups.v1.Metrics"
    assert (first.cpu.usage.total, first.memory.usage.limit, first.pids.current) == (
        5000,
        2**64 - 1,
        2,
    )
    name, second = metrics.of(stats, unified=True)
    assert name == "io.containerd.cgroups.v2.Metrics"
    assert (second.cpu.usage_usec, second.memory.usage_limit) == (5, 2**64 - 1)
    assert metrics.of({})[1].encode() == b""
