"""Containers whose cgroups systemd makes: on hosts where it is the first process."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import requirements, traces, users
from tests.runtime.command.conftest import Runtime
from tests.runtime.command.test_rootless import UsersRuntime, used_by
from tests.users import User

pytestmark = pytest.mark.root


@pytest.fixture
def systemd(runtime: Runtime) -> Iterator[Runtime]:
    """Return a runtime that has systemd make the cgroups; no unit of it is left."""
    if not os.path.isdir("/run/systemd/system"):
        requirements.absent_here("systemd is not the first process of this host")
    made = Runtime(
        runtime.directory, runtime.name, (*runtime.command, "--systemd-cgroup"), runtime.made
    )
    yield made
    for name in runtime.left()["state"]:
        runtime("delete", "--force", name)
    assert units(runtime) == []
    assert [each for each in traces.cgroups(runtime.name) if each.endswith(".scope")] == []


def units(runtime: Runtime, *options: str) -> list[str]:
    return show(
        "systemctl", "list-units", "--all", "--plain", "--no-legend", *options,
        f"{runtime.name}*.scope",
    ).split()  # fmt: skip


def show(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


def properties(unit: str, *names: str) -> list[str]:
    words = [word for name in names for word in ("-p", name)]
    told = dict(line.split("=", 1) for line in show("systemctl", "show", unit, *words).splitlines())
    return [told[name] for name in names]


def place(runtime: Runtime, name: str) -> dict:
    return {"linux": {"cgroupsPath": f"system.slice:{runtime.name}:{name}"}}


def scope(runtime: Runtime, name: str) -> str:
    return f"{runtime.name}-{name}.scope"


def has(controller: str) -> bool:
    return any(
        controller in Path(path).read_text().split()
        for path in Path("/sys/fs/cgroup").glob("cgroup.controllers")
    ) or os.path.isdir(f"/sys/fs/cgroup/{controller}")


def unified() -> bool:
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def pid(runtime: Runtime, name: str) -> int:
    return runtime.state(name)["pid"]


def test_the_container_is_in_a_scope_that_is_delegated(systemd: Runtime) -> None:
    systemd.running("one", **place(systemd, "one"))
    unit = scope(systemd, "one")
    told = properties(
        unit, "ActiveState", "Slice", "Delegate", "ControlGroup", "DefaultDependencies"
    )
    assert told == ["active", "system.slice", "yes", f"/system.slice/{unit}", "no"]
    groups = Path(f"/proc/{pid(systemd, 'one')}/cgroup").read_text().splitlines()
    wanted = {line for line in groups if not line.endswith(f":/system.slice/{unit}")}
    assert not unified() or not [line for line in wanted if line.startswith("0::")]
    assert unified() or wanted <= {"0::/"}
    systemd("delete", "--force", "one")
    assert units(systemd) == []


def test_it_has_a_name_of_its_own_where_the_spec_says_none(systemd: Runtime) -> None:
    name = f"{systemd.name}-plain"
    systemd.running(name, linux={"cgroupsPath": None})
    unit = f"cinspect-oci-{name}.scope"
    assert properties(unit, "ActiveState") == ["active"]
    systemd("delete", "--force", name)
    assert properties(unit, "ActiveState") == ["inactive"]


def test_limits_are_in_the_unit_and_in_the_files(systemd: Runtime) -> None:
    if not has("memory") or not has("pids"):
        requirements.absent_here("this host has no controllers of memory and pids for systemd")
    limits = {
        "memory": {"limit": 64 << 20},
        "pids": {"limit": 20},
        "cpu": {"quota": 12_345, "period": 100_000},
    }
    changes = place(systemd, "lim")
    changes["linux"]["resources"] = limits
    systemd.running("lim", **changes)
    unit = scope(systemd, "lim")
    memory = "MemoryMax" if unified() else "MemoryLimit"
    names = (memory, "TasksMax", "CPUQuotaPerSecUSec")
    assert properties(unit, *names) == [str(64 << 20), "20", "130ms"]
    systemd("update", "--memory", "96m", "--pids-limit", "30", "--cpu-quota", "50000", "lim")
    assert properties(unit, *names) == [str(96 << 20), "30", "500ms"]
    assert read_limits(pid(systemd, "lim")) == [str(96 << 20), "30", "50000"]
    show("systemctl", "daemon-reload")
    assert read_limits(pid(systemd, "lim")) == [str(96 << 20), "30", "50000"]


def read_limits(of: int) -> list[str]:
    """Return the limits of memory and pids and the quota, from the files."""
    paths = dict(
        line.split(":", 2)[1:] for line in Path(f"/proc/{of}/cgroup").read_text().splitlines()
    )
    if unified():
        top = Path("/sys/fs/cgroup" + paths[""])
        files = (top / "memory.max", top / "pids.max", top / "cpu.max")
    else:
        files = tuple(
            Path(f"/sys/fs/cgroup/{controller}{paths[controller]}/{file}")
            for controller, file in (
                ("memory", "memory.limit_in_bytes"),
                ("pids", "pids.max"),
                ("cpu", "cpu.cfs_quota_us"),
            )
        )
    return [file.read_text().split()[0] for file in files]


def test_one_process_may_be_all_there_are(systemd: Runtime) -> None:
    if not has("pids"):
        requirements.absent_here("this host has no controller of pids for systemd")
    changes = place(systemd, "single")
    changes["linux"]["resources"] = {"pids": {"limit": 1}}
    script = "read x < /proc/self/cgroup; (true) || true; echo not reached"
    bundle = systemd.bundle("sh", "-c", script, **changes)
    done = systemd("run", "--bundle", bundle, "single", check=False)
    assert "fork" in done.stderr


def test_devices_are_still_those_of_the_spec_after_an_update(systemd: Runtime) -> None:
    changes = place(systemd, "dev")
    changes["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    systemd.running("dev", **changes)
    script = ": < /dev/zero && echo yes; mknod /tmp/kmsg c 1 11 && : < /tmp/kmsg && echo no; true"
    for _ in range(2):
        assert systemd("exec", "dev", "sh", "-c", script).stdout.split() == ["yes"]
        systemd("update", "--resources", "-", "dev", stdin='{"unified": {}}')
        show("systemctl", "daemon-reload")


def test_a_paused_one_is_counted_killed_and_deleted(systemd: Runtime) -> None:
    systemd.running("still", **place(systemd, "still"))
    systemd("pause", "still")
    assert systemd.state("still")["status"] == "paused"
    systemd("resume", "still")
    assert systemd.state("still")["status"] == "running"
    systemd("pause", "still")
    systemd("kill", "still", "KILL")
    ended(systemd, "still")
    systemd("delete", "still")


def ended(runtime: Runtime, name: str) -> None:
    deadline = time.monotonic() + 10
    while runtime.state(name)["status"] != "stopped":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_unit_that_was_left_failed_does_not_stand_in_the_way(systemd: Runtime) -> None:
    unit = scope(systemd, "again")
    limits = ("--property=RuntimeMaxSec=1", "--property=TimeoutStopSec=1")
    with subprocess.Popen(
        ("systemd-run", "--scope", "--quiet", f"--unit={unit}", *limits, "sleep", "1000")
    ) as process:
        process.wait(20)
    becomes(unit, "failed")
    systemd.running("again", **place(systemd, "again"))
    assert properties(unit, "ActiveState") == ["active"]
    systemd("delete", "--force", "again")


def becomes(unit: str, state: str) -> None:
    deadline = time.monotonic() + 20
    while properties(unit, "ActiveState") != [state]:
        assert time.monotonic() < deadline, properties(unit, "ActiveState")
        time.sleep(0.05)


def test_a_unit_of_somebody_else_is_not_taken(systemd: Runtime) -> None:
    unit = scope(systemd, "taken")
    sleeper = ("systemd-run", "--scope", "--quiet", "--slice=other.slice", f"--unit={unit}")
    patience = ("--property=TimeoutStopSec=1", "--property=CollectMode=inactive-or-failed")
    with subprocess.Popen((*sleeper, *patience, "sleep", "1000")) as process:
        try:
            becomes(unit, "active")
            bundle = systemd.bundle("true", **place(systemd, "taken"))
            done = systemd("create", "--bundle", bundle, "taken", check=False)
            assert done.returncode == 1
            assert f"{unit} was already loaded" in done.stderr
            assert process.poll() is None
            assert properties(unit, "ActiveState") == ["active"]
        finally:
            show("systemctl", "stop", unit)


def test_nothing_is_left_when_it_cannot_be_made(systemd: Runtime) -> None:
    changes = place(systemd, "fails")
    bundle = systemd.bundle("nonesuch", **changes)
    done = systemd("run", "--bundle", bundle, "fails", check=False)
    assert done.returncode == 1
    assert "nonesuch" in done.stderr
    assert units(systemd) == []


def test_a_property_of_an_annotation_is_the_units(systemd: Runtime) -> None:
    annotations = {"org.systemd.property.TimeoutStopSec": "7"}
    systemd.running("noted", annotations=annotations, **place(systemd, "noted"))
    assert properties(scope(systemd, "noted"), "TimeoutStopUSec") == ["7s"]


def test_one_that_systemd_refuses_is_told_of_with_the_unit(systemd: Runtime) -> None:
    annotations = {"org.systemd.property.NoSuchThing": "7"}
    bundle = systemd.bundle("true", annotations=annotations, **place(systemd, "odd"))
    done = systemd("create", "--bundle", bundle, "odd", check=False)
    assert done.returncode == 1
    assert f"StartTransientUnit of {scope(systemd, 'odd')}: " in done.stderr
    assert "NoSuchThing" in done.stderr


def test_without_systemd_the_flag_is_refused(runtime: Runtime) -> None:
    if os.path.isdir("/run/systemd/system"):
        requirements.absent_here("systemd is the first process of this host")
    bundle = runtime.bundle("true", **place(runtime, "no"))
    done = runtime("--systemd-cgroup", "create", "--bundle", bundle, "no", check=False)
    assert done.returncode == 1
    assert "systemd" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_path_that_is_no_units_is_refused(runtime: Runtime) -> None:
    done = runtime(
        "--systemd-cgroup", "create", "--bundle", runtime.bundle("true"), "no", check=False
    )
    assert done.returncode == 1
    assert "is not slice:prefix:name" in done.stderr


@pytest.fixture
def at_home() -> Iterator[User]:
    """Return a user whose own systemd runs."""
    if not os.path.isdir("/run/systemd/system") or not unified():
        requirements.absent_here("there are no users' systemds with cgroup v2")
    with users.user(subordinate=False) as user, users.own_systemd(user) as found:
        yield found


@pytest.fixture
def session(at_home: User) -> Iterator[Runtime]:
    """Return the runtime of that user, who leaves no unit."""
    with used_by(at_home, idle=False) as made:
        made.command = (*made.command, "--systemd-cgroup")
        yield made
        for name in made.left()["state"]:
            made("delete", "--force", name)
        assert listed(made) == []


def asked(made: Runtime, *words: str) -> str:
    """Ask the user's own systemd."""
    assert isinstance(made, UsersRuntime)
    assert made.user
    return show(*made.user.command("systemctl", "--user", *words))


def listed(made: Runtime) -> list[str]:
    units = asked(made, "list-units", "--all", "--plain", "--no-legend", "*.scope")
    return [line.split()[0] for line in units.splitlines() if "cinspect-oci" in line]


def test_a_users_own_systemd_makes_the_scope(session: Runtime) -> None:
    session.running("mine")
    unit = "cinspect-oci-mine.scope"
    assert listed(session) == [unit]
    group = asked(session, "show", unit, "-p", "ControlGroup", "--value")
    assert group.endswith(f".service/user.slice/{unit}")
    path = Path(f"/proc/{pid(session, 'mine')}/cgroup").read_text().splitlines()[-1]
    assert path == f"0::{group}"
    session("pause", "mine")
    assert session.state("mine")["status"] == "paused"
    session("resume", "mine")
    members = Path(f"/sys/fs/cgroup{group}/cgroup.procs")
    session.quietly("exec", "--detach", "mine", "sleep", "1000")
    assert len(members.read_text().split()) == 2
    session("delete", "--force", "mine")


def test_a_users_limits_are_in_the_users_unit(session: Runtime) -> None:
    if "pids" not in Path("/sys/fs/cgroup/cgroup.controllers").read_text().split():
        requirements.absent_here("this host has no controller of pids for systemd")
    session.running("few", linux={"resources": {"pids": {"limit": 20}}})
    show_tasks = ("show", "cinspect-oci-few.scope", "-p", "TasksMax", "--value")
    assert asked(session, *show_tasks) == "20"
    session("update", "--pids-limit", "30", "few")
    assert asked(session, *show_tasks) == "30"
