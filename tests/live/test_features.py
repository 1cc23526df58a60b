"""What docs/features.md says is told of each container: its commands are run upon one, as they stand."""

import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests import command, features, requirements
from tests.live import host
from tests.live.engine import Engine

pytestmark = pytest.mark.root

ROWS: Final = features.TOLD
NUMBER: Final = r"\d+(\.\d+)?"
OWN: Final = r"/(cinspect/[0-9a-f]{64}|system\.slice/cinspect-[0-9a-f]{64}\.scope)"
"""The container's cgroup, by one manager or the other."""
SHOWN: Final[Mapping[str, str]] = {
    "20": r'"rx_bytes":\d+,"tx_bytes":\d+',
    "28": r"^[1-9]\d*$",
    "29": r'^\["',
    "30": r'"mode":"(v1|hybrid|unified)"',
    "31": r"^[1-9]\d*$",
    "34": r"^[1-9]\d*$",
    "36": r"^\[\d+,\{",
    "37": rf'\["{OWN}","[0-9a-f]{{64}}"\]',
    "40": r'\["net",\d+,\d+,null\]',
    "41": r'^\[\["user"',
    "42": r"^\d+$",
    "43": r'"inside":0,"outside":0',
    "44": r"\[\d+,1\]",
    "45": r"^sh$",
    "47": r'\["added","/made-here"\]',
    "48": r"A/made-here",
    "49": r'\["upper","/.+"\]\["lower","/"\]',
    "50": rf"^\[[1-9]\d*,{NUMBER}\]$",
    "51": r"efficiency",
    "52": r"^changed$",
    "53": r'\["/data","/usr",(\d+|null)\]',
    "54": r'"/proc/keys".*"/proc/sys"',
    "55": r"/tasks/start",
    "56": r"^\{.*/tasks/start",
    "59": r"sleep1000",
    "60": r'\[\d+,\d+,"sh"\].*\[\d+,\d+,"sleep"\]',
    "61": r'"CAP_CHOWN".*"filter",true',
    "62": r"^[1-9]\d*$",
    "63": r"\[8080,\[\d+",
    "64": r'"listen":1',
}
"""What a row's command prints, without white space."""
MEASURED: Final[Mapping[str, tuple[str, str]]] = {
    "13": ("cpu", rf"^{NUMBER}"),
    "14": ("cpu", rf"^\[[1-9]\d*,[1-9]\d*,[1-9]\d*,{NUMBER}\]$"),
    "15": ("memory", r"^\[[1-9]\d*,[1-9]\d*\]$"),
    "16": ("memory", r"^\[[1-9]\d*,\d+,\d+,\d+\]$"),
    "17": ("memory", r'^\[0,\{"'),
    "21": ("pids", r'^\{"current":[1-9]\d*,"limit":50'),
    "24": ("memory", rf'^\[67108864,"{OWN}",0\.2,"{OWN}",50\]$'),
    "27": ("cpu", r"throttled"),
    "32": ("memory", r"67108864"),
    "38": ("pids", r"^(web){3}$"),
}
"""The same of rows for which the host needs a controller of cgroups."""


@pytest.fixture(scope="module")
def environment(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Return an environment in which `cinspect` means the tests' engine, with `web` in it."""
    requirements.commands("jq", "python3")
    directory = tmp_path_factory.mktemp("bin")
    wrapper = directory / "cinspect"
    words = shlex.join((command.CINSPECT, *engine.options))
    wrapper.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    wrapper.chmod(0o755)
    limits = [
        word
        for name, words in (
            ("memory", ("--memory", "64m")),
            ("cpu", ("--cpus", "0.2")),
            ("pids", ("--pids-limit", "50")),
        )
        if name in host.controllers()
        for word in words
    ]
    script = (
        "echo changed > /etc/hostname; echo new > /made-here; python3 -m http.server 8080 & "
        "sleep 1000 & while :; do :; done"
    )
    volume = ("--volume", "/usr:/data:ro")
    engine("run", "-d", "--name", "web", *volume, *limits, "@host", "sh", "-c", script)
    try:
        time.sleep(2)  # a few periods of the cpu controller, and a server that listens
        yield {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
    finally:
        engine("rm", "--force", "web")


def test_every_row_is_known_here() -> None:
    assert len(ROWS) == 46
    assert set(SHOWN) | set(MEASURED) <= set(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_rows_command_tells_what_the_row_claims(row: str, environment: dict[str, str]) -> None:
    done = features.shown(ROWS[row], environment)
    controller, expected = MEASURED.get(row, ("", ""))
    if row == "38":
        host.require(controller)  # what is not there cannot be changed, and saying so is right
    assert done.returncode == 0, done.stderr
    printed = re.sub(r"\s", "", done.stdout)
    assert printed
    assert re.search(SHOWN.get(row, ""), printed), printed
    if controller in host.controllers():
        assert re.search(expected, printed), printed
