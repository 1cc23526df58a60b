"""What is written: valid JSON whatever a name is, and the schema that it promises."""

import asyncio
import json
import os
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.chain import Chain
from inspector.cli import live
from inspector.cli.options import Settings
from inspector.frame import SECTIONS, Frame
from inspector.output import json as output
from inspector.output import schema, text
from tests.inspector.canned import A, Host, own

SCHEMA = Path(__file__).with_name("schema.json")
FIXTURES = sorted((Path(__file__).parent.parent / "fixtures").glob("*/proc"))
SURROGATES = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)


def settings(root: str) -> Settings:
    return Settings("/nonexistent", "/nonexistent", root, True, None, None, False)


def check(frame: Frame) -> None:
    jsonschema.Draft202012Validator(schema.schema()).validate(json.loads(output.encode(frame)))


def test_the_schema_is_the_published_one():
    # A key may be added: run `cinspect schema > tests/inspector/schema.json` and look at the
    # difference. One that is there keeps its name and its meaning.
    assert json.loads(SCHEMA.read_text()) == json.loads(schema.encode())


def test_the_schema_is_a_schema_and_the_same_each_time():
    jsonschema.Draft202012Validator.check_schema(schema.schema())
    assert schema.encode() == schema.encode()


def test_sections_are_optional_and_the_rest_is_not():
    frame = schema.schema()["$defs"]["Frame"]
    assert set(frame["required"]) & set(SECTIONS) == set()
    assert {"taken_at", "cost", "host", "engines"} <= set(frame["required"])


@pytest.mark.parametrize("host", [path.parent for path in FIXTURES], ids=lambda path: path.name)
async def test_a_recorded_hosts_frame_is_valid(host):
    check(await live.frame(settings(str(host)), SECTIONS))


async def test_this_hosts_frame_is_valid():
    sampler = await asyncio.to_thread(live.sampler, settings("/"))
    chain = Chain(keep=10)
    chain.advance(await sampler.sample(SECTIONS))
    frame = chain.advance(await sampler.sample(SECTIONS))
    check(frame)
    assert frame.cost.files_read > 0
    assert frame.cost.cpu_seconds > 0
    assert isinstance(frame.processes, tuple)
    assert os.getpid() in {one.pid for one in frame.processes}


async def test_a_frame_reads_back_as_it_was_written():
    frame = await live.frame(settings(str(FIXTURES[0].parent)), SECTIONS)
    assert output.decode(output.encode(frame)) == frame


def test_a_name_that_is_not_utf_8_is_shown_by_its_bytes():
    host = Host()
    host.process(100, 1, "evil\udcff", "run\udc80", ns=own(1), inside=[1], cgroup=f"/docker/{A}")
    frame = Chain().advance(host.sample())
    said = json.loads(output.encode(frame).decode("utf-8"))
    (one,) = said["containers"]
    assert one["command"] == ["run\\x80"]
    assert "evil\\xff" in [process["comm"] for process in said["processes"]]


@given(SURROGATES)
def test_every_text_can_be_written(value):
    data = output.encode({"key": [value, {value: value}]})
    assert json.loads(data.decode("utf-8"))["key"][0] == text.valid(value)


@given(SURROGATES)
def test_printable_text_has_no_controls_and_is_utf_8(value):
    shown = text.printable(value)
    shown.encode("utf-8")
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2028" for c in shown)


def test_pretty_json_is_the_same_json():
    value = {"a": [1, 2.5, None], "b": {"c": "ä"}}
    assert json.loads(output.encode(value, pretty=True)) == value
    assert output.encode(value, pretty=True).count(b"\n") > 3
    assert output.encode(value).count(b"\n") == 1


def test_json_that_is_no_frame_is_refused():
    with pytest.raises(msgspec.ValidationError):
        output.decode(b'{"schema_version": "2"}')
