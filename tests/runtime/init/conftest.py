"""How a test says what container it wants: changes to a spec like Docker's, and acts upon it."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ARENA = Path(__file__).with_name("arena.py")
SAFE = ["nosuid", "noexec", "nodev"]
PTS = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
SPEC = {
    "hostname": "arena",
    "process": {
        "args": ["true"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "cwd": "/",
        "noNewPrivileges": True,
        "capabilities": "default",
    },
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": SAFE},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "mode=755"],
        },
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": PTS},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", *SAFE]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro", *SAFE]},
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": [*SAFE, "mode=1777"],
        },
    ],
    "linux": {
        "namespaces": [
            {"type": each} for each in ("mount", "pid", "uts", "ipc", "network", "cgroup")
        ],
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/acpi", "/nowhere"],
        "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger", "/proc/nowhere"],
    },
}
RUN = (["create"], ["start"], ["finish"])


def merged(base: dict, changes: dict) -> dict:
    """Return the spec with objects merged and everything else replaced; `+mounts` adds."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        if key.startswith("+"):
            result[key[1:]] = [*result.get(key[1:], []), *value]
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


@pytest.fixture
def plain_mounts() -> list[dict]:
    """Return the mounts of a container that asks for nothing."""
    return copy.deepcopy(SPEC["mounts"])


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., dict]:
    """Return a function that plays acts on a container, and tells what came of it.

    Whatever came of it, nothing is left behind on the host: that is asserted here.
    """
    count = 0

    def run(*acts: list, lower: str = "/", spare: bool = False, **changes) -> dict:
        nonlocal count
        count += 1
        directory = tmp_path / f"arena{count}"
        directory.mkdir()
        scenario = {
            "spec": merged(SPEC, changes),
            "acts": acts or RUN,
            "lower": lower,
            "spare": spare,
        }
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(ARENA), str(directory)],
            input=json.dumps(scenario),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["left behind"] == []
        return result

    return run


@pytest.fixture
def shell(play) -> Callable[..., str]:
    """Return a function that runs a shell script in a container and gives what it wrote."""

    def run(script: str, *, status: int = 0, **changes) -> str:
        process = {"args": ["/bin/sh", "-c", script]} | changes.pop("process", {})
        result = play(process=process, **changes)
        assert "error" not in result, result
        assert result["init"]["status"] == status, result["init"]["output"]
        return result["init"]["output"]

    return run
