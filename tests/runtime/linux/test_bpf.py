"""The device program decides as v1's list would: run here by an interpreter of its instructions."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidArgument
from runtime.linux import bpf

READ, WRITE, MAKE = 2, 4, 1
BLOCK, CHARACTER = 1, 2
KINDS = {"b": BLOCK, "c": CHARACTER}


def decide(program: bytes, kind: int, access: int, *, major: int, minor: int) -> bool:
    """Run the few instructions that the assembler uses, as the kernel's documentation has them."""
    context = {0: access << 16 | kind, 4: major, 8: minor}
    registers = [0] * 11
    position = 0
    while True:
        opcode, both, offset, value = struct.unpack_from("=BBhi", program, position * 8)
        target, source = both & 0xF, both >> 4
        position += 1
        if opcode == 0x61:
            assert source == 1
            registers[target] = context[offset]
        elif opcode == 0xBC:
            registers[target] = registers[source] & 0xFFFFFFFF
        elif opcode == 0x54:
            registers[target] = registers[target] & value & 0xFFFFFFFF
        elif opcode == 0x74:
            registers[target] >>= value
        elif opcode == 0x55:
            position += offset if registers[target] != value else 0
        elif opcode == 0x15:
            position += offset if registers[target] == value else 0
        elif opcode == 0xB7:
            registers[target] = value
        else:
            assert opcode == 0x95
            return bool(registers[0])


def allowed(rules, kind: int, access: int, *, major: int, minor: int) -> bool:
    program = bpf.assemble(bpf.DeviceList(rules))
    return decide(program, kind, access, major=major, minor=minor)


DENY_ALL = {"allow": False, "access": "rwm"}
NULL = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}


def test_what_is_listed_is_allowed_and_nothing_else():
    rules = [DENY_ALL, NULL]
    assert allowed(rules, CHARACTER, READ | WRITE, major=1, minor=3)
    assert not allowed(rules, CHARACTER, READ, major=1, minor=4)
    assert not allowed(rules, BLOCK, READ, major=1, minor=3)


def test_every_access_of_a_request_must_be_allowed():
    rules = [DENY_ALL, NULL | {"access": "r"}]
    assert allowed(rules, CHARACTER, READ, major=1, minor=3)
    assert not allowed(rules, CHARACTER, READ | WRITE, major=1, minor=3)


def test_two_rules_for_a_device_add_up():
    rules = [DENY_ALL, NULL | {"access": "r"}, NULL | {"access": "w"}]
    assert allowed(rules, CHARACTER, READ | WRITE, major=1, minor=3)


def test_a_wildcard_allows_every_minor():
    rules = [DENY_ALL, {"allow": True, "type": "c", "major": 136, "access": "rwm"}]
    assert allowed(rules, CHARACTER, READ, major=136, minor=77)
    assert not allowed(rules, CHARACTER, READ, major=137, minor=77)


def test_making_any_node_does_not_let_it_be_opened():
    rules = [DENY_ALL, {"allow": True, "type": "b", "access": "m"}]
    assert allowed(rules, BLOCK, MAKE, major=8, minor=0)
    assert not allowed(rules, BLOCK, READ, major=8, minor=0)


def test_a_refusal_after_allow_all_refuses_any_of_its_accesses():
    rules = [{"allow": True, "access": "rwm"}, NULL | {"allow": False, "access": "w"}]
    assert allowed(rules, CHARACTER, READ, major=1, minor=3)
    assert not allowed(rules, CHARACTER, READ | WRITE, major=1, minor=3)
    assert allowed(rules, BLOCK, WRITE, major=8, minor=0)


def test_numbers_with_the_type_of_all_are_refused():
    with pytest.raises(InvalidArgument):
        bpf.DeviceList([{"allow": False, "type": "a", "major": 1}])


_RULE = st.fixed_dictionaries(
    {
        "allow": st.booleans(),
        "type": st.sampled_from(["c", "b"]),
        "major": st.integers(1, 2),
        "minor": st.integers(1, 2),
        "access": st.sampled_from(["r", "w", "m", "rw", "rwm"]),
    }
)


@given(
    rules=st.lists(_RULE, max_size=6),
    default=st.booleans(),
    kind=st.sampled_from([BLOCK, CHARACTER]),
    access=st.integers(1, 7),
    numbers=st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_without_wildcards_the_last_rule_about_each_access_decides(
    rules, default, kind, access, numbers
):
    major, minor = numbers
    meant = [
        rule
        for rule in rules
        if (rule["major"], rule["minor"], KINDS[rule["type"]]) == (major, minor, kind)
    ]
    expected = all(
        next((rule["allow"] for rule in reversed(meant) if letter in rule["access"]), default)
        for bit, letter in ((MAKE, "m"), (READ, "r"), (WRITE, "w"))
        if access & bit
    )
    program = [{"allow": default, "access": "rwm"}, *rules]
    assert allowed(program, kind, access, major=major, minor=minor) == expected
