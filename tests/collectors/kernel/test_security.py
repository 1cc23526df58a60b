"""Security labels, one for each mount namespace but the reader's own."""

from pathlib import Path

import pytest

from collectors.kernel import namespaces, security
from collectors.kernel.security import Label
from collectors.members import Members
from collectors.root import Root
from collectors.table import Table
from tests.collectors.kernel import made

FIXTURES = Path(__file__).parents[2] / "fixtures"


def process(root: Path, pid: int, mnt: int, *, ticks: int, label: bytes | None) -> None:
    directory = root / f"proc/{pid}"
    (directory / "ns").mkdir(parents=True)
    (directory / "ns/mnt").symlink_to(f"mnt:[{mnt}]")
    fields = " ".join(["0"] * 18 + [str(ticks)] + ["0"] * 30)
    (directory / "stat").write_text(f"{pid} (x) S {fields}\n")
    if label is not None:
        (directory / "attr").mkdir()
        (directory / "attr/current").write_bytes(label)


@pytest.mark.parametrize(
    ("data", "label"),
    [
        (b"docker-default (enforce)\n", "docker-default (enforce)"),
        (b"system_u:system_r:container_t:s0:c1,c2\0", "system_u:system_r:container_t:s0:c1,c2"),
        (b"unconfined\n", "unconfined"),
        (b"odd\xff\n", "odd\\xff"),
        (b"", None),
    ],
)
def test_a_label_loses_only_its_end(tmp_path: Path, data: bytes, label: str | None):
    process(tmp_path, 1, 100, ticks=1, label=b"unconfined\n")
    process(tmp_path, 5, 200, ticks=5, label=data)
    reading = security.read(Root(str(tmp_path)))
    assert reading == security.SecurityReading((Label(200, 5, label),))


def test_the_oldest_process_speaks_for_its_namespace_whatever_its_pid(tmp_path: Path):
    process(tmp_path, 1, 100, ticks=1, label=b"unconfined\n")
    process(tmp_path, 5, 200, ticks=90, label=b"young\n")
    process(tmp_path, 7, 200, ticks=30, label=b"old\n")
    assert security.read(Root(str(tmp_path))).labels == (Label(200, 7, "old"),)


def test_a_process_that_went_away_is_left_out(tmp_path: Path):
    process(tmp_path, 1, 100, ticks=1, label=b"unconfined\n")
    process(tmp_path, 5, 200, ticks=5, label=None)
    assert security.read(Root(str(tmp_path))) == security.SecurityReading(())


def test_a_torn_stat_is_told(tmp_path: Path):
    process(tmp_path, 1, 100, ticks=1, label=b"unconfined\n")
    process(tmp_path, 5, 200, ticks=5, label=b"x\n")
    (tmp_path / "proc/5/stat").write_bytes(b"5 (x")
    reading = security.read(Root(str(tmp_path)))
    assert reading.labels == ()
    assert [(p.path, p.error) for p in reading.problems] == [("/proc/5/stat", "format")]


def test_the_containers_of_a_recorded_host_have_labels():
    reading = security.read(Root(str(FIXTURES / "v2-systemd")))
    assert [label.lsm for label in reading.labels] == ["unconfined"] * 3
    assert reading.problems == ()


@pytest.mark.root
def test_a_live_process_in_a_mount_namespace_of_its_own_has_what_the_kernel_says():
    with made.process("unshare(NEWNS)\nsay('ready')\nwait()") as (pid, _):
        reading = security.read(Root())
        namespace = made.inode(pid, "mnt")
        try:
            expected = Path(f"/proc/{pid}/attr/current").read_text().strip("\0\n")
        except OSError:
            expected = None
    assert Label(namespace, pid, expected) in reading.labels


class Frames:
    """The reader over a table, as a running sampler has it."""

    def __init__(self, tree: Path) -> None:
        self.root, table = Root(str(tree)), Table()
        self.spaces = namespaces.Reader(table)
        self.reader = security.Reader(Members(table=table))

    def next(self) -> tuple[tuple[Label, ...], int]:
        """Return the labels, and how many files they took."""
        self.spaces.read(self.root)
        before = self.root.reads.files
        return self.reader.read(self.root).labels, self.root.reads.files - before


def test_a_label_is_read_again_in_its_turn_alone_and_for_another_process(tmp_path: Path):
    process(tmp_path, 1, 100, ticks=1, label=b"unconfined\n")
    process(tmp_path, 5, 200, ticks=5, label=b"one\n")
    frames = Frames(tmp_path)
    first, most = frames.next()
    assert first == (Label(200, 5, "one"),)
    files = [frames.next()[1] for _ in range(10)]
    assert files.count(most - 1) == 9  # all but the label
    (tmp_path / "proc/5/attr/current").write_bytes(b"other\n")
    assert (Label(200, 5, "other"),) in [frames.next()[0] for _ in range(10)]
    process(tmp_path, 4, 200, ticks=2, label=b"older\n")
    assert frames.next()[0] == (Label(200, 4, "older"),)
