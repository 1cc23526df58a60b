"""The parsers of cgroupfs on what kernels of several versions print."""

import pytest

from collectors.formats import cpuset, io_device, pressure, scalar
from collectors.formats.io_device import IoDevice
from collectors.formats.pressure import Pressure, PressureLine
from runtime.errors import FormatError


def test_pressure_gives_percentages_and_microseconds():
    data = (
        b"some avg10=1.09 avg60=4.37 avg300=3.39 total=21914429\n"
        b"full avg10=0.00 avg60=100.00 avg300=0.10 total=7\n"
    )
    assert pressure.parse(data) == Pressure(
        PressureLine(1.09, 4.37, 3.39, 21914429), PressureLine(0.0, 100.0, 0.1, 7)
    )


def test_cpu_pressure_of_an_older_kernel_has_no_full_line():
    data = b"some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"
    assert pressure.parse(data) == Pressure(PressureLine(0.0, 0.0, 0.0, 5), None)


def test_io_stat_gives_a_device_a_line():
    data = (
        b"254:0 rbytes=41984 wbytes=13135872 rios=11 wios=537 dbytes=0 dios=0\n"
        b"8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7\n"
    )
    assert io_device.parse_stat(data) == (
        IoDevice("254:0", 41984, 13135872, 11, 537),
        IoDevice("8:16", 1, 2, 3, 4, 5, 6, {"usage": 7}),
    )


def test_io_stat_devices_without_counters_are_left_out_even_on_one_line():
    data = b"7:7 7:6 8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:0 \n"
    assert io_device.parse_stat(data) == (IoDevice("8:0", 1, 2, 3, 4),)


@pytest.mark.parametrize("data", [b"sda rbytes=1\n", b"8:0 rbytes=-1\n", b"rbytes=1 8:0\n"])
def test_a_damaged_io_stat_is_an_error(data: bytes):
    with pytest.raises(FormatError):
        io_device.parse_stat(data)


def test_blkio_sizes_and_counts_are_joined_by_device():
    sizes = io_device.parse_blkio(
        b"8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 1\n8:0 Async 2\n8:0 Discard 0\n8:0 Total 12288\n"
        b"7:0 Read 0\n7:0 Write 0\n7:0 Total 0\nTotal 12288\n"
    )
    counts = io_device.parse_blkio(b"8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n")
    assert io_device.join_blkio(sizes, counts) == (IoDevice("8:0", 4096, 8192, 1, 2),)


def test_an_empty_blkio_file_has_its_total_only():
    assert io_device.join_blkio(io_device.parse_blkio(b"Total 0\n"), {}) == ()


@pytest.mark.parametrize(
    ("data", "expected"), [(b"max\n", None), (b"67108864\n", 67108864), (b"0\n", 0)]
)
def test_a_limit_of_max_is_none(data: bytes, expected: int | None):
    assert scalar.limit(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"max 100000\n", (None, 100000)), (b"25000 100000\n", (25000, 100000))],
)
def test_bandwidth_is_quota_and_period(data: bytes, expected: tuple[int | None, int]):
    assert scalar.bandwidth(data) == expected


@pytest.mark.parametrize("data", [b"", b"1 2\n", b"1_0\n", b"0x10\n", b"max\n"])
def test_what_is_no_number_is_an_error(data: bytes):
    with pytest.raises(FormatError):
        scalar.number(data)


@pytest.mark.parametrize(
    ("data", "expected"), [(b"\n", ""), (b"0-1\n", "0-1"), (b"0,2-3", "0,2-3")]
)
def test_a_list_of_cpus_stays_a_list(data: bytes, expected: str):
    assert cpuset.parse(data) == expected


@pytest.mark.parametrize("data", [b"0-\n", b"a\n", b"0,,1\n", b"0 1\n"])
def test_what_is_no_list_of_cpus_is_an_error(data: bytes):
    with pytest.raises(FormatError):
        cpuset.parse(data)
