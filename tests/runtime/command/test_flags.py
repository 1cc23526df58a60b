"""Every flag that the installed runc tells of is known here, or the whole command is refused by name."""

import json
import re
import shutil
import subprocess

import pytest

from runtime.command import table
from runtime.command.arguments import Command, Option
from tests import requirements

COMMANDS = {each.name: each for each in table.COMMANDS}
NEWER = {
    "create": {"pidfd-socket"},
    "run": {"pidfd-socket", "keep"},
    "exec": {"pidfd-socket", "ignore-paused", "cgroup"},
    "update": {"cpu-burst", "cpu-idle", "kernel-memory", "kernel-memory-tcp"},
}
"""What came with runc 1.1 and 1.2, or is hidden in their help."""


def helped(*words: str) -> str:
    """Return what runc says of itself."""
    requirements.commands("runc")
    done = subprocess.run(
        (str(shutil.which("runc")), *words, "--help"), check=True, capture_output=True, text=True
    )
    return done.stdout


def told(text: str) -> dict[str, tuple[bool, str]]:
    """Return the flags of a help: whether a value follows, and the short name."""
    found = {}
    for line in text.splitlines():
        match = re.match(r" {3}--([a-z0-9-]+)( value)?(?:, -(\w)(?: value)?)?(?:  |$)", line)
        if match:
            found[match[1]] = (bool(match[2]), match[3] or "")
    return found


def known(options: tuple[Option, ...]) -> dict[str, tuple[bool, str]]:
    return {each.name: (bool(each.value), each.short) for each in options}


def commands() -> list[str]:
    listed = helped().partition("COMMANDS:")[2].partition("GLOBAL OPTIONS:")[0]
    return [match[1] for match in re.finditer(r"^ {3}([a-z]+)", listed, re.MULTILINE)]


def test_every_flag_of_runc_is_known_with_its_value_and_its_short_name():
    wanted = {name: told(helped(name)) for name in commands() if name in COMMANDS}
    assert len(wanted) >= 14
    assert wanted["exec"]["env"] == (True, "e")
    missing = {}
    for name, flags in wanted.items():
        here = known(COMMANDS[name].options)
        flags.pop("help", None)
        lacking = {flag: form for flag, form in flags.items() if here.get(flag) != form}
        if lacking:
            missing[name] = lacking
    assert not missing, json.dumps(missing)


def test_every_flag_before_the_command_is_known():
    here = known(table.SHARED)
    wanted = told(helped().partition("GLOBAL OPTIONS:")[2])
    assert len(wanted) >= 8
    assert {flag: form for flag, form in wanted.items() if here.get(flag) != form} == {}


@pytest.mark.parametrize("name", NEWER)
def test_flags_that_came_later_are_known_too(name):
    assert NEWER[name] <= known(COMMANDS[name].options).keys()


def test_every_command_of_runc_is_there_or_refused(runtime):
    absent = [name for name in commands() if name not in {*COMMANDS, "help"}]
    assert set(absent) == set(table.REFUSED)
    for name in absent:
        done = runtime(name, "--image-path", "/tmp", "one", check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(f"cinspect-oci: {name}: is not supported: ")


@pytest.mark.parametrize("command", table.COMMANDS, ids=lambda each: each.name)
def test_the_help_of_a_command_tells_of_each_of_its_flags(runtime, command: Command):
    said = runtime("help", command.name).stdout
    if not command.in_order:
        assert runtime(command.name, "--help").stdout == said
    for option in command.options:
        assert re.search(rf"^ +--{option.name}\b", said, re.MULTILINE)
