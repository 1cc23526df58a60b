"""Namespaces: those of containers, nested, bind-mounted, held open, and what lsns says of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from collectors import nsfs
from collectors.errors import Gone
from collectors.kernel import namespaces
from collectors.kernel.namespaces import (
    TYPES,
    IdMap,
    Membership,
    Namespace,
    NamespacesReading,
    Pin,
)
from collectors.root import Root
from tests import requirements
from tests.collectors.kernel import made

FIXTURES = Path(__file__).parents[2] / "fixtures"


def by_inode(reading: NamespacesReading) -> dict[int, Namespace]:
    return {namespace.inode: namespace for namespace in reading.namespaces}


def members(reading: NamespacesReading, inode: int) -> set[int]:
    return {member.pid for member in reading.memberships if inode in member.inodes}


def of(reading: NamespacesReading, pid: int) -> dict[str, int | None]:
    (member,) = [member for member in reading.memberships if member.pid == pid]
    return dict(zip(TYPES, member.inodes, strict=True))


@pytest.fixture(scope="module")
def recorded() -> NamespacesReading:
    return namespaces.read(Root(str(FIXTURES / "v2-systemd")))


def test_a_recorded_host_tells_what_files_can_tell(recorded: NamespacesReading):
    assert recorded.problems == ()
    assert recorded.own == (None,) * 8
    assert dict(zip(TYPES, recorded.init, strict=True)) == {
        "mnt": 4026531841,
        "uts": 4026531838,
        "ipc": 4026531839,
        "pid": 4026531836,
        "net": 4026531840,
        "user": 4026531837,
        "cgroup": 4026531835,
        "time": None,
    }


def test_a_recorded_bind_mount_pins_a_namespace_that_has_no_process(recorded: NamespacesReading):
    host = recorded.init[TYPES.index("mnt")]
    pinned = {
        pin.path: namespace for namespace in recorded.namespaces for pin in namespace.pinned_by
    }
    kept = pinned["/run/keep"]
    assert kept.type == "net"
    assert kept.pinned_by == (Pin("bind", "/run/keep", host),)
    assert members(recorded, kept.inode) == set()
    docker = [path for path in pinned if path.startswith("/run/docker/netns/")]
    assert len(docker) == 4
    assert all(members(recorded, pinned[path].inode) for path in docker[:3])


def test_a_recorded_user_namespace_has_its_maps(recorded: NamespacesReading):
    maps = {n.uid_map for n in recorded.namespaces if n.type == "user"}
    assert maps == {(IdMap(0, 0, 4294967295),), (IdMap(0, 1000, 1),)}
    assert all(n.uid_map is None for n in recorded.namespaces if n.type != "user")


def test_a_zombie_is_in_fewer_namespaces_and_still_a_member(recorded: NamespacesReading):
    stat = next(
        path
        for path in (FIXTURES / "v2-systemd/proc").glob("[0-9]*/stat")
        if b") Z " in path.read_bytes()
    )
    zombie = of(recorded, int(stat.parent.name))
    assert zombie["mnt"] is None
    assert zombie["user"] == 4026531837


def test_the_seven_types_of_a_container_are_its_own_but_for_user(recorded: NamespacesReading):
    web = next(
        int(path.parent.name)
        for path in (FIXTURES / "v2-systemd/proc").glob("[0-9]*/status")
        if f"\nNSpid:\t{path.parent.name}\t1\n" in path.read_text()
    )
    inside, host = of(recorded, web), dict(zip(TYPES, recorded.init, strict=True))
    assert [kind for kind in TYPES if inside[kind] == host[kind]] == ["user", "time"]


def test_a_link_that_says_something_else_is_a_problem(tmp_path: Path):
    directory = tmp_path / "proc/1/ns"
    directory.mkdir(parents=True)
    (directory / "net").symlink_to("net:[broken]")
    (directory / "uts").symlink_to("uts:[77]")
    (tmp_path / "proc/1/stat").write_bytes((FIXTURES / "v2-systemd/proc/1/stat").read_bytes())
    reading = namespaces.read(Root(str(tmp_path)))
    assert reading.memberships == (
        Membership(1, 9, tuple(77 if kind == "uts" else None for kind in TYPES)),
    )
    assert [(p.path, p.error) for p in reading.problems] == [("/proc/1/ns/net", "format")]


def test_this_process_is_in_the_namespaces_that_stat_finds():
    reading = namespaces.read(Root())
    expected = {kind: made.inode(os.getpid(), kind) for kind in made.KINDS}
    expected |= dict.fromkeys(set(TYPES) - set(made.KINDS))
    assert of(reading, os.getpid()) == expected
    assert dict(zip(TYPES, reading.own, strict=True)) == expected


def test_a_member_carries_the_start_of_its_process():
    with made.process("say('ready')\nwait()") as (pid, _):
        reading = namespaces.read(Root())
        stat = Path(f"/proc/{pid}/stat").read_text()
    (member,) = [member for member in reading.memberships if member.pid == pid]
    assert member.start_ticks == int(stat.rpartition(")")[2].split()[19])


EVERY = """
unshare(NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWNET | NEWPID | NEWUSER)
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write("0 0 1")
open("/proc/self/gid_map", "w").write("0 0 1")
if os.path.exists("/proc/self/ns/time"):
    unshare(NEWTIME)
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        os.close(1)
        wait()
        os._exit(0)
    pids.append(pid)
say(*pids)
wait()
"""


def lsns() -> dict[int, dict[str, object]]:
    requirements.commands("lsns")
    command = ["lsns", "-J", "-o", "NS,TYPE,NPROCS,PID,PNS,ONS"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout
    return {int(line["ns"]): line for line in json.loads(listed)["namespaces"]}


def number(value: object) -> int | None:
    """lsns says 0 (as text or number, by version) where there is none that it can tell."""
    return int(str(value)) or None if value is not None else None


@pytest.mark.root
def test_every_namespace_that_lsns_shows_is_there_with_its_type():
    with made.process(EVERY):
        before = by_inode(namespaces.read(Root()))
        shown = lsns()
        after = by_inode(namespaces.read(Root()))
    known = before | after
    assert set(shown) - set(known) == set()
    assert {inode: line["type"] for inode, line in shown.items()} == {
        inode: known[inode].type for inode in shown
    }


@pytest.mark.root
def test_processes_parents_and_owners_are_those_of_lsns():
    with made.process(EVERY) as (_, children):
        reading = namespaces.read(Root())
        shown = lsns()
        inodes = {kind: made.inode(int(children[0]), kind) for kind in made.KINDS}
    ours = by_inode(reading)
    for kind, inode in inodes.items():
        assert len(members(reading, inode)) == int(str(shown[inode]["nprocs"])), kind
        assert len(members(reading, inode)) == (3 if kind in {"pid", "time"} else 4), kind
        assert ours[inode].owner_user_ns == number(shown[inode]["ons"]), kind
        assert ours[inode].parent == number(shown[inode]["pns"]), kind
    own = dict(zip(TYPES, reading.own, strict=True))
    assert ours[inodes["user"]].parent == own["user"]
    assert ours[inodes["pid"]].parent == own["pid"]
    assert ours[inodes["net"]].owner_user_ns == inodes["user"]
    assert ours[inodes["user"]].owner_uid == 0
    assert ours[inodes["user"]].uid_map == (IdMap(0, 0, 1),)


NESTED = """
unshare(NEWUSER)
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write("0 0 1")
open("/proc/self/gid_map", "w").write("0 0 1")
middle = os.stat("/proc/self/ns/user").st_ino
unshare(NEWUSER)
say(middle, os.stat("/proc/self/ns/user").st_ino)
wait()
"""


@pytest.mark.root
def test_an_ancestor_that_has_no_process_is_found_through_its_child():
    with made.process(NESTED) as (pid, words):
        reading = namespaces.read(Root())
    middle, innermost = map(int, words)
    ours = by_inode(reading)
    assert of(reading, pid)["user"] == innermost
    assert members(reading, middle) == set()
    assert ours[innermost].parent == middle
    assert ours[middle].parent == of(reading, os.getpid())["user"]
    assert ours[middle].uid_map is None


HELD = """
own = os.open("/proc/self/ns/uts", os.O_RDONLY)
unshare(NEWUTS)
held = os.open("/proc/self/ns/uts", os.O_RDONLY)
setns(own)
os.close(own)
say(held, os.fstat(held).st_ino)
wait()
"""


@pytest.mark.root
def test_an_open_descriptor_pins_a_namespace_that_has_no_process():
    with made.process(HELD) as (pid, words):
        reading = namespaces.read(Root())
    held = by_inode(reading)[int(words[1])]
    assert held.type == "uts"
    assert held.pinned_by == (Pin("fd", f"/proc/{pid}/fd/{words[0]}"),)
    assert held.owner_user_ns == dict(zip(TYPES, reading.own, strict=True))["user"]
    assert members(reading, held.inode) == set()


BOUND = """
unshare(NEWNS)
mount(b"none", b"/", None, 0x4000 | 0x40000)  # MS_REC | MS_PRIVATE
mount(b"none", b"/mnt", b"tmpfs", 0)
os.mkdir("/mnt/a b")
open("/mnt/a b/net\\n", "w").close()
own = os.open("/proc/self/ns/net", os.O_RDONLY)
unshare(NEWNET)
inode = os.stat("/proc/self/ns/net").st_ino
mount(b"/proc/self/ns/net", b"/mnt/a b/net\\n", None, 0x1000)  # MS_BIND
setns(own)
os.close(own)
say(inode)
wait()
"""


@pytest.mark.root
def test_a_bind_mount_seen_only_in_another_mount_namespace_pins_a_namespace():
    with made.process(BOUND) as (pid, words):
        reading = namespaces.read(Root())
    bound = by_inode(reading)[int(words[0])]
    assert bound.type == "net"
    assert bound.pinned_by == (Pin("bind", "/mnt/a b/net\n", of(reading, pid)["mnt"]),)
    assert bound.owner_user_ns == dict(zip(TYPES, reading.own, strict=True))["user"]


WAITING = """
unshare(NEWTIME)
say(os.stat("/proc/self/ns/time_for_children").st_ino)
wait()
"""


@pytest.mark.root
def test_a_namespace_that_only_the_next_child_will_enter_is_found():
    if "time" not in made.KINDS:
        requirements.lacking("this kernel has no time namespaces")
    with made.process(WAITING) as (pid, words):
        reading = namespaces.read(Root())
    waiting = by_inode(reading)[int(words[0])]
    assert waiting.type == "time"
    assert waiting.pinned_by == (Pin("children", f"/proc/{pid}/ns/time_for_children"),)
    assert members(reading, waiting.inode) == set()


@pytest.mark.root
def test_children_of_a_process_hold_nothing_that_has_processes_already():
    with made.process(EVERY) as (_, children):
        reading = namespaces.read(Root())
        entered = made.inode(int(children[0]), "pid")
    assert by_inode(reading)[entered].pinned_by == ()


def test_a_pipe_in_place_of_a_namespace_is_never_opened(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(Gone, match="/proc/1/root/pipe"):
        nsfs.explore(str(pipe), "net", 4026531840, {}, name="/proc/1/root/pipe")


def test_without_the_right_to_look_at_others_there_is_one_problem_for_all():
    if os.geteuid() != 0:
        requirements.lacking("needs root to become somebody else")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import os, msgspec\n"
        "from collectors.kernel import namespaces\n"
        "from collectors.root import Root\n"
        "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "sys.stdout.buffer.write(msgspec.json.encode(namespaces.read(Root())))"
    )
    checkout = str(Path(__file__).parents[3])
    result = subprocess.run([sys.executable, "-c", code, checkout], capture_output=True, check=True)
    reading = json.loads(result.stdout)
    assert len(reading["memberships"]) > 1
    (problem,) = (one for one in reading["problems"] if one["operation"] == "readlink")
    assert (problem["path"], problem["error"]) == ("/proc/1/ns/mnt", "denied")
    assert "such files" in problem["message"]


LARGE = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (3000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for _ in range(2000):
    os.dup(0)
say("ready")
wait()
"""


def test_a_very_large_table_of_descriptors_is_not_searched_and_that_is_told():
    with made.process(LARGE) as (pid, _):
        if os.stat(f"/proc/{pid}/fd").st_size < 2000:
            requirements.lacking("this kernel does not tell how many descriptors there are")
        root = Root()
        reading = namespaces.read(root)
    assert of(reading, pid)["net"] == made.inode(os.getpid(), "net")
    assert any(problem.path == "/proc/*/fd" for problem in reading.problems)


def test_each_link_of_a_process_is_read_once():
    root = Root(str(FIXTURES / "v2-systemd"))
    reading = namespaces.read(root)
    links = list((FIXTURES / "v2-systemd/proc").glob("[0-9]*/fd/*"))
    others = 8 + 1 + 1 + 4 + 2 * 2  # own links, /proc, kthreadd, one mountinfo each, two maps each
    each = 1 + 9 + 1 + 1  # its directory, its links, its stat, its descriptors
    assert root.reads.files <= len(reading.memberships) * each + len(links) + others
