"""Every parser, fed with anything, either returns a record or raises FormatError."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats import (
    cmdline,
    cpuset,
    diskstats,
    io_device,
    keyed,
    meminfo,
    ns_link,
    os_release,
    pid_cgroup,
    pid_limits,
    pid_stat,
    pid_status,
    pressure,
    scalar,
    schedstat,
    system_stat,
    uptime,
)
from runtime.errors import FormatError
from runtime.formats import flat, idmap, nested, text

V2 = Path(__file__).parents[2] / "fixtures/v2-systemd"
V1 = Path(__file__).parents[2] / "fixtures/v1-docker"
SCOPE = next(V2.glob("sys/fs/cgroup/system.slice/docker-*.scope"))

Parser = Callable[[bytes], object]

PARSERS: dict[str, tuple[Parser, bytes]] = {
    "pid_stat": (pid_stat.parse, (V2 / "proc/1/stat").read_bytes()),
    "start_ticks": (pid_stat.start_ticks, (V2 / "proc/1/stat").read_bytes()),
    "pid_status": (pid_status.parse, (V2 / "proc/1/status").read_bytes()),
    "pid_cgroup": (pid_cgroup.parse, (V1 / "proc/1/cgroup").read_bytes()),
    "cmdline": (cmdline.parse, (V2 / "proc/1/cmdline").read_bytes()),
    "idmap": (idmap.parse, (V2 / "proc/1/uid_map").read_bytes()),
    "ns_link": (lambda data: ns_link.parse(text.decode(data)), b"net:[4026531840]"),
    "flat": (flat.parse, (SCOPE / "memory.stat").read_bytes()),
    "nested": (nested.parse, (V2 / "sys/fs/cgroup/io.stat").read_bytes()),
    "io.stat": (io_device.parse_stat, (V2 / "sys/fs/cgroup/io.stat").read_bytes()),
    "blkio": (io_device.parse_blkio, b"8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n"),
    "pressure": (
        pressure.parse,
        b"some avg10=0.00 avg60=1.25 avg300=0.30 total=16\n",
    ),
    "number": (scalar.number, b"-1\n"),
    "limit": (scalar.limit, b"max\n"),
    "bandwidth": (scalar.bandwidth, b"max 100000\n"),
    "cpuset": (cpuset.parse, b"0-3,8\n"),
    "system_stat": (system_stat.parse, (V2 / "proc/stat").read_bytes()),
    "meminfo": (meminfo.parse, (V2 / "proc/meminfo").read_bytes()),
    "uptime": (uptime.parse, (V2 / "proc/uptime").read_bytes()),
    "os_release": (os_release.parse, (V2 / "etc/os-release").read_bytes()),
    "diskstats": (diskstats.parse, (V2 / "proc/diskstats").read_bytes()),
}

PARSERS |= {
    "pid_limits": (pid_limits.parse, Path("/proc/self/limits").read_bytes()),
    "schedstat": (schedstat.parse, b"150234 2000 12\n"),
    "numa": (keyed.numa, b"anon N0=4096 N1=0\nfile=3 N0=1 N1=2\n"),
    "misc": (keyed.limits, b"sev 8\nsev_es max\n"),
}

parsers = pytest.mark.parametrize(
    ("parse", "real"), list(PARSERS.values()), ids=list(PARSERS.keys())
)


@parsers
def test_a_real_file_is_understood_and_can_be_written_as_json(parse: Parser, real: bytes):
    assert msgspec.json.encode(parse(real))


@parsers
@given(data=st.binary(max_size=400))
def test_any_bytes_give_a_record_or_a_format_error(parse: Parser, real: bytes, data: bytes):
    with contextlib.suppress(FormatError):
        msgspec.json.encode(parse(data))


@parsers
@given(data=st.data())
def test_a_damaged_file_gives_a_record_or_a_format_error(parse: Parser, real: bytes, data):
    start = data.draw(st.integers(0, len(real)))
    end = data.draw(st.integers(start, min(start + 40, len(real))))
    damaged = real[:start] + data.draw(st.binary(max_size=20)) + real[end:]
    with contextlib.suppress(FormatError):
        msgspec.json.encode(parse(damaged))


@parsers
@given(data=st.data())
def test_a_number_that_is_far_too_long_is_no_crash(parse: Parser, real: bytes, data):
    digits = [index for index, byte in enumerate(real) if chr(byte).isdigit()]
    if not digits:
        return
    at = data.draw(st.sampled_from(digits))
    length = data.draw(st.sampled_from([18, 20, 40, 5000]))
    with contextlib.suppress(FormatError):
        msgspec.json.encode(parse(real[:at] + b"9" * length + real[at:]))
