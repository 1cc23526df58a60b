"""Furniture: what nearly every container has is made ahead, and fits those that ask for just that."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from runtime.init import furniture

pytestmark = pytest.mark.root
PROGRAM = """
import json, socket, sys
sys.path.insert(0, sys.argv[1])
from runtime.init import furniture, plan
from runtime.init.step import Child
from runtime.linux import constants, syscalls

syscalls.unshare(constants.CLONE_NEWIPC | constants.CLONE_NEWNET)
made = furniture.Furniture(Child(sync=socket.socket(), tasks=()))
changes = json.load(sys.stdin)
mounts = [*furniture.COMMON["mounts"], *changes["more"]]
for each in mounts:
    each["options"] = changes["options"].get(each["destination"], each["options"])
who, manner = plan.Identity("", ""), plan.Manner()
steps = plan.of(plan.Job("/", (), None, who, manner), {**furniture.COMMON, "mounts": mounts})
print(json.dumps([
    (type(each).__name__, getattr(each, "destination", ""))
    for each in made.fit(steps, frozenset(changes["new"]))
]))
"""
OWN = ["ipc", "network", "uts", "mount", "pid", "cgroup"]
PLACES = ["dev", "dev/pts", "dev/shm", "dev/mqueue", "sys"]
USUAL = [*furniture.USUAL, {"destination": "/proc", "type": "proc", "source": "proc"}]


def fitted(*, new=OWN, more=(), options=None) -> tuple[list[str], Counter]:
    """Return the places that pieces go to, and how many steps of each other kind there are."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(Path(furniture.__file__).parents[2])],
        input=json.dumps({"new": new, "more": more, "options": options or {}}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    steps = [tuple(each) for each in json.loads(done.stdout)]
    return [place for kind, place in steps if kind == "Placed"], Counter(kind for kind, _ in steps)


def test_a_common_container_gets_every_piece_and_makes_no_device():
    places, kinds = fitted()
    assert places == PLACES
    assert kinds["Device"] == kinds["Link"] == 0
    assert kinds["FilesystemMount"] == 1  # proc


def test_what_shows_the_host_s_namespaces_is_not_fitted_in():
    places, kinds = fitted(new=["mount", "pid", "uts", "cgroup"])
    assert places == ["dev", "dev/pts", "dev/shm"]
    assert kinds["FilesystemMount"] == 3


def test_a_mount_with_other_options_is_made_as_always():
    places, kinds = fitted(options={"/dev": ["nosuid", "mode=700"]})
    assert places == PLACES[1:]
    assert kinds["Device"] == 6
    assert kinds["Link"] == 6


@pytest.mark.parametrize(
    "entry",
    [
        {"destination": "/v", "type": "bind", "source": "/", "options": ["rbind"]},
        {"destination": "/dev/x", "type": "tmpfs", "source": "tmpfs", "options": []},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []},
    ],
    ids=lambda entry: entry["destination"],
)
def test_devices_are_looked_at_where_something_else_may_be_mounted_there(entry):
    places, kinds = fitted(more=[entry])
    assert places == PLACES
    assert kinds["Device"] == 6
    assert kinds["Link"] == 6


@pytest.mark.parametrize(
    "script",
    [
        "cut -d' ' -f4-6,8- /proc/self/mountinfo | sed 's/mode=/ /' | sort",
        "stat -c '%n %F %a %u:%g %t:%T %N' /dev /dev/* /dev/pts/* /dev/shm /dev/mqueue /sys",
        "touch /dev/shm/x && echo x >/dev/null && ls /dev/mqueue /sys/class/net && ! touch /sys/x",
        "cat /proc/sys/kernel/hostname; ls -a /dev",
    ],
)
def test_a_container_looks_the_same_with_and_without_it(shell, tmp_path, script):
    seen = [shell(script, spare=each, mounts=USUAL) for each in (True, False)]
    told = [each.replace("arena2", "arena1") for each in seen]
    assert told[0]
    assert told[0] == told[1]


def test_what_one_container_writes_into_a_piece_no_other_one_finds(shell):
    script = "ls /dev/shm /dev; echo x >/dev/shm/x; echo x >/dev/x"
    seen = [shell(script, spare=True, mounts=USUAL) for _ in range(2)]
    assert seen[0] == seen[1]
