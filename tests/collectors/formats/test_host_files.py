"""The parsers of the host's own files."""

import pytest

from collectors.formats import diskstats, meminfo, os_release, system_stat, uptime
from runtime.errors import FormatError


def test_busy_time_leaves_out_idle_and_iowait_and_counts_a_guest_once():
    data = (
        b"cpu  100 20 30 4000 500 6 7 8 90 10\n"
        b"cpu0 50 10 15 2000 250 3 4 4 45 5\n"
        b"cpu1 50 10 15 2000 250 3 3 4 45 5\n"
        b"intr 12 0 5\nctxt 5\nbtime 1795494597\nprocesses 5\n"
    )
    assert system_stat.parse(data) == system_stat.SystemStat(
        2, 100 + 20 + 30 + 6 + 7 + 8, 1795494597
    )


@pytest.mark.parametrize(
    "data", [b"", b"cpu 1 2 3\ncpu0 1 2 3\n", b"btime 5\n", b"cpu x\nbtime 5\n"]
)
def test_a_stat_without_its_lines_is_an_error(data: bytes):
    with pytest.raises(FormatError):
        system_stat.parse(data)


def test_kilobytes_become_bytes_and_counts_stay():
    data = b"MemTotal:        2037812 kB\nHugePages_Total:       4\n"
    assert meminfo.parse(data) == {"MemTotal": 2037812 * 1024, "HugePages_Total": 4}


def test_uptime_is_the_first_number():
    assert uptime.parse(b"1335.36 2222.10\n") == 1335.36


def test_os_release_loses_its_quotes_and_comments():
    data = b'# one\nPRETTY_NAME="Debian \\"12\\""\n\nID=debian\nNAME=\'a b\'\n'
    assert os_release.parse(data) == {"PRETTY_NAME": 'Debian "12"', "ID": "debian", "NAME": "a b"}


@pytest.mark.parametrize("data", [b"PRETTY_NAME\n", b'NAME="open\n', b"a b=c\n"])
def test_an_os_release_that_is_no_shell_assignment_is_an_error(data: bytes):
    with pytest.raises(FormatError):
        os_release.parse(data)


def test_diskstats_names_devices():
    data = b" 254       0 vda 8201 3 5 6\n   7       0 loop0 0 0 0 0\n"
    assert diskstats.parse(data) == {"254:0": "vda", "7:0": "loop0"}
