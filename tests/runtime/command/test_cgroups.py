"""Where in the cgroups processes go, whose those are, and which are refused."""

import os
from pathlib import Path

import pytest

from tests import command, requirements
from tests.runtime.command.conftest import NOTHING, Runtime

pytestmark = pytest.mark.root


def roots() -> list[Path]:
    """Return where v1's freezer and v2 are mounted, those that are."""
    places = ("/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
    return [Path(each) for each in places if os.path.exists(f"{each}/cgroup.procs")]


def unified() -> Path:
    found = [each for each in roots() if (each / "cgroup.controllers").exists()]
    return found[0] if found else requirements.absent_here("this host has no cgroup v2")


def only_v2() -> None:
    if unified() != Path("/sys/fs/cgroup"):
        requirements.absent_here("this host has not cgroup v2 alone")


def own(runtime: Runtime, root: Path) -> Path:
    return root / runtime.name / f"c{len(runtime.made)}"


def groups(runtime: Runtime, name: str, *options: str) -> list[str]:
    return runtime("exec", *options, name, "cat", "/proc/self/cgroup").stdout.splitlines()


def test_one_more_process_goes_below_where_it_is_told(runtime: Runtime) -> None:
    runtime.running("one")
    places = [own(runtime, root) / "sub" for root in roots()]
    for each in places:
        each.mkdir()
    try:
        if roots() == [Path("/sys/fs/cgroup")]:
            assert groups(runtime, "one", "--cgroup", "/sub")[-1].endswith("/sub")
        assert not [line for line in groups(runtime, "one") if line.endswith("/sub")]
        if roots()[0].name == "freezer":
            told = groups(runtime, "one", "--cgroup", "freezer:sub")
            assert [line.split(":")[1] for line in told if line.endswith("/sub")] == ["freezer"]
    finally:
        for each in places:
            each.rmdir()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("../up", "leads out of the container's cgroup"),
        ("/none", "there is no such cgroup"),
        ("nonesuch:/", "there is no controller 'nonesuch' here"),
    ],
)
def test_a_place_that_is_none_is_refused(runtime: Runtime, place: str, words: str) -> None:
    runtime.running("one")
    done = runtime("exec", "--cgroup", place, "one", "true", check=False)
    assert done.returncode == 255
    assert words in done.stderr


def test_one_that_is_divided_takes_no_process(runtime: Runtime) -> None:
    only_v2()
    runtime.running("one")
    top = own(runtime, unified())
    offered = (top / "cgroup.controllers").read_text().split()
    if not offered:
        requirements.absent_here("no controller of cgroup v2 can be enabled here")
    for name in ("init", "sub"):
        (top / name).mkdir()
    (top / "init" / "cgroup.procs").write_text(str(runtime.state("one")["pid"]))
    for place in (top, top / "sub"):
        (place / "cgroup.subtree_control").write_text(f"+{offered[0]}")
    done = runtime("exec", "--cgroup", "/sub", "one", "true", check=False)
    assert "is divided" in done.stderr
    assert groups(runtime, "one")[-1] == "0::/init"


WRITABLE = {
    "destination": "/sys/fs/cgroup",
    "type": "cgroup",
    "source": "cgroup",
    "options": ["nosuid", "noexec", "nodev", "rw"],
}


def owned(runtime: Runtime, *options: str, uid: int = 0) -> int:
    """Return whose the cgroup of a container with such a mount of it is."""
    mount = {**WRITABLE, "options": list(options)}
    runtime.running(
        "one",
        **{"+mounts": [mount]},
        process={"user": {"uid": uid, "gid": 0}},
    )
    return own(runtime, unified()).stat().st_uid


def test_a_writable_cgroup_is_the_users(runtime: Runtime) -> None:
    uid = owned(runtime, "rw", uid=7)
    only = unified() == Path("/sys/fs/cgroup")
    assert uid == (7 if only else 0)
    if only:
        place = own(runtime, unified())
        assert (place / "cgroup.procs").stat().st_uid == 7
        assert (place / "cgroup.kill").stat().st_uid == 0
        script = "mkdir /sys/fs/cgroup/mine && rmdir /sys/fs/cgroup/mine && echo made"
        assert "made" in runtime("exec", "one", "busybox", "sh", "-c", busy(script)).stdout


def busy(script: str) -> str:
    return script.replace("mkdir", "busybox mkdir").replace("rmdir", "busybox rmdir")


def test_a_read_only_cgroup_stays_roots(runtime: Runtime) -> None:
    assert owned(runtime, "ro", uid=7) == 0


def test_a_cgroup_of_threads_is_refused(runtime: Runtime) -> None:
    top = unified() / runtime.name
    (top / "c1").mkdir(parents=True)
    try:
        (top / "c1" / "cgroup.type").write_text("threaded")
        bundle = runtime.bundle("true", linux={"cgroupsPath": f"/{runtime.name}/c1/below"})
        done = runtime("create", "--bundle", bundle, "no", check=False)
        assert done.returncode == 1
        assert "threaded" in done.stderr
    finally:
        (top / "c1").rmdir()
    assert runtime.left() == NOTHING


def test_a_cgroup_that_is_frozen_is_refused(runtime: Runtime) -> None:
    root = roots()[0]
    place = root / runtime.name / "c1"
    place.mkdir(parents=True)
    file, value = ("freezer.state", "FROZEN") if root.name == "freezer" else ("cgroup.freeze", "1")
    try:
        (place / file).write_text(value)
        done = runtime("create", "--bundle", runtime.bundle("true"), "no", check=False)
        assert done.returncode == 1
        assert "is frozen" in done.stderr
    finally:
        place.rmdir()


def test_a_paused_one_that_is_killed_is_not_paused_any_more(runtime: Runtime) -> None:
    runtime.running("one")
    runtime("pause", "one")
    runtime("kill", "one", "KILL")
    command.eventually(lambda: runtime.state("one")["status"] == "stopped")
    runtime("delete", "one")
    runtime.running("two")
    runtime("pause", "two")
    runtime("kill", "two", "TERM")
    assert runtime.state("two")["status"] == "paused"
