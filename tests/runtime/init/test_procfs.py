"""Labels, kernel parameters and scores are written to a proc filesystem, and to nothing in its place."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.errors import InvalidArgument
from runtime.init import procfs

SOURCE = str(Path(__file__).parents[3])


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "self/attr").mkdir(parents=True)
    (tmp_path / "self/attr/exec").write_text("")
    descriptor = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_what_is_no_proc_filesystem_is_not_written_to(directory, tmp_path):
    with pytest.raises(InvalidArgument, match=r"/proc/self/attr/exec: is not in a proc"):
        procfs.write(directory, "self/attr/exec", "label")
    assert (tmp_path / "self/attr/exec").read_text() == ""


def test_no_link_leads_out_of_it(directory, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_text("")
    (tmp_path / "self/attr/exec").unlink()
    (tmp_path / "self/attr/exec").symlink_to(outside)
    with pytest.raises(OSError, match="/proc/self/attr/exec"):
        procfs.write(directory, "self/attr/exec", "label")
    assert outside.read_text() == ""
    outside.unlink()


WRITE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from runtime.init import procfs
try:
    procfs.write(os.open("/proc", os.O_PATH), "sys/kernel/domainname", "rose")
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.root
def test_what_is_mounted_upon_is_not_written_to():
    """CVE-2025-52881: even another file of a proc filesystem is not the one that is meant."""
    script = 'mount --bind /proc/sys/kernel/hostname /proc/sys/kernel/domainname; exec "$@"'
    apart = ("unshare", "--mount", "--uts", "--propagation", "private", "sh", "-ec", script, "sh")
    python = (sys.executable, "-I", "-S", "-c", WRITE, SOURCE)
    done = subprocess.run((*apart, *python), check=True, capture_output=True, text=True)
    assert done.stdout == "Invalid cross-device link\n"
