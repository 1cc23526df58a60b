"""Who has a file open, on real processes."""

import os
from pathlib import Path

from collectors import lookups
from collectors.root import Root
from tests.collectors.kernel import made

MANY = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (2000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1500)]
held.append(os.open(sys.argv[1], os.O_RDONLY))
say("ready", held[-1])
wait()
"""


def test_one_that_has_very_much_open_does_not_hide_what_others_have(tmp_path: Path):
    file = tmp_path / "wanted"
    file.touch()
    inode = file.stat().st_ino
    with file.open() as own, made.process(MANY, str(file)) as (pid, (_, number)):
        pids, fd = (pid, os.getpid()), own.fileno()
        few = lookups.open_files(Root(), [inode], pids, descriptors=1000)
        every = lookups.open_files(Root(), [inode], pids)
        assert [(one.pid, one.number) for one in few.holders[inode]] == [(os.getpid(), fd)]
    assert not few.complete
    assert every.complete
    assert {(one.pid, one.number) for one in every.holders[inode]} == {
        (os.getpid(), fd),
        (pid, int(number)),
    }
