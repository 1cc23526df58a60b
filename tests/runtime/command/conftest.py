"""Bundles with a small root, and `cinspect-oci` upon a state directory of the test's own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import requirements, traces

MAIN = "import sys; sys.path.insert(0, {!r}); from runtime.command.start import main; main()"
SOURCE = str(Path(__file__).parents[3])
COMMAND = (sys.executable, "-I", "-S", "-c", MAIN.format(SOURCE))
APPLETS = (
    "sh",
    "cat",
    "echo",
    "sleep",
    "true",
    "id",
    "ls",
    "env",
    "stat",
    "readlink",
    "kill",
    "stty",
    "tty",
    "wc",
    "mount",
    "touch",
    "grep",
)


def merged(base: dict, changes: dict) -> dict:
    """Return the spec with objects merged and all else replaced; `+mounts` adds."""
    result = dict(base)
    for key, value in changes.items():
        if key.startswith("+"):
            result[key[1:]] = [*result.get(key[1:], []), *value]
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


@dataclass
class Runtime:
    """The command line of a runtime, and the bundles that a test makes for it."""

    directory: Path
    name: str
    command: tuple = COMMAND
    made: list = field(default_factory=list)

    def __call__(self, *words: str, check: bool = True, stdin: str = "", **options):
        """Run one command to its end; return what came of it."""
        done = subprocess.run(
            (*self.command, "--root", str(self.directory / "state"), *words),
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            **options,
        )
        assert not check or done.returncode == 0, f"{words}: {done.returncode} {done.stderr}"
        return done

    def quietly(self, *words: str) -> None:
        """Run what leaves a process behind: that one would hold the pipes of a test's open."""
        subprocess.run(
            (*self.command, "--root", str(self.directory / "state"), *words),
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    def bundle(self, *arguments: str, **changes) -> str:
        """Make a bundle whose command has these arguments; return its directory."""
        directory = self.directory / f"bundle{len(self.made)}"
        directory.mkdir()
        self.made.append(directory)
        self("spec", "--bundle", str(directory))
        path = directory / "config.json"
        spec = json.loads(path.read_text())
        spec["process"] |= {"terminal": False, "args": list(arguments)}
        spec["root"] |= {"path": str(self.directory / "rootfs")}
        spec["linux"]["cgroupsPath"] = f"/{self.name}/c{len(self.made)}"
        path.write_text(json.dumps(merged(spec, changes)))
        return str(directory)

    def sleeper(self, container_id: str, **changes) -> str:
        """Make a container that waits for its start; return its id."""
        bundle = self.bundle("sleep", "1000", **changes)
        self.quietly("create", "--bundle", bundle, container_id)
        return container_id

    def running(self, container_id: str, **changes) -> str:
        self.sleeper(container_id, **changes)
        self("start", container_id)
        return container_id

    def state(self, container_id: str) -> dict:
        return json.loads(self("state", container_id).stdout)

    def sh(self, script: str, **changes) -> str:
        """Run a shell script in a container; return what it wrote."""
        return self("run", "--bundle", self.bundle("sh", "-c", script, **changes), "script").stdout

    def left(self) -> dict:
        """What a container may have left."""
        state = self.directory / "state"
        return {
            "state": sorted(os.listdir(state)) if state.exists() else [],
            "cgroups": [each for each in traces.cgroups(self.name) if not each.endswith(self.name)],
            "mounts": traces.mounts(str(self.directory)),
        }


NOTHING = {"state": [], "cgroups": [], "mounts": []}


def make_root(rootfs: Path) -> None:
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "data"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), rootfs / "bin" / "busybox")
    for applet in APPLETS:
        (rootfs / "bin" / applet).symlink_to("busybox")
    (rootfs / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\nrose:x:7:8::/data:/bin/sh\n")


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """Return the runtime; whatever the test has left is removed, and fails it."""
    requirements.commands("busybox")
    made = Runtime(tmp_path, f"cinspect-oci-test-{os.getpid()}-{tmp_path.name[-12:]}")
    make_root(tmp_path / "rootfs")
    try:
        yield made
        for name in made.left()["state"]:
            made("delete", "--force", name)
        assert made.left() == NOTHING
    finally:
        traces.remove(made.name)


@pytest.fixture
def refused(runtime: Runtime) -> Callable[..., str]:
    """Return a function that tells how a spec was refused, with nothing left of it."""

    def refuse(**changes) -> str:
        done = runtime("create", "--bundle", runtime.bundle("true", **changes), "no", check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert runtime.left() == NOTHING
        return done.stderr

    return refuse
