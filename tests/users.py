"""A user of the host without any rights, for a test: made, and removed with all that it has."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests import requirements, traces

RUNTIME = Path(__file__).parents[1] / "runtime"


@dataclass(frozen=True)
class User:
    """Who it is; `directory` is its own, with a copy of the runtime that it can read."""

    name: str
    uid: int
    directory: Path
    python: str
    run_directory: Path

    def command(self, *words: str) -> tuple[str, ...]:
        """Return the command line that runs a command as this user, without root's environment."""
        return (
            *("setpriv", "--reuid", self.name, "--regid", str(self.uid), "--init-groups"),
            *("env", "-i", f"HOME={self.directory}", f"XDG_RUNTIME_DIR={self.run_directory}"),
            *(f"PATH={os.environ['PATH']}", *words),
        )

    def give(self, path: Path) -> Path:
        """Make a file or directory this user's."""
        os.chown(path, self.uid, self.uid)
        return path

    def processes(self) -> list[int]:
        """Return the pids of its processes, and of those with its subordinate ids."""
        mine = {self.uid, *subordinates(self.name)}
        found: list[int] = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if entry.stat().st_uid in mine:
                    found.append(int(entry.name))
        return found


def subordinates(name: str) -> range:
    """Return the first range of a user's subordinate uids (subuid(5))."""
    for line in Path("/etc/subuid").read_text().splitlines():
        owner, first, count = line.split(":")
        if owner == name:
            return range(int(first), int(first) + int(count))
    return range(0)


def interpreter() -> str:
    """Return a Python that everybody may execute: one below a home may not be."""
    script = "import sys; sys.exit(sys.version_info < (3, 11))"
    # setpriv itself executes with root's capabilities yet; what `env` executes has none.
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env")
    for path in (sys.executable, "/usr/bin/python3"):
        words = (*nobody, path, "-c", script)
        if subprocess.run(words, check=False, capture_output=True).returncode == 0:
            return path
    return requirements.lacking("no Python 3.11 that every user may execute")


@contextlib.contextmanager
def user(*, subordinate: bool) -> Iterator[User]:
    """Make a user, with subordinate ids or without; whatever it leaves is removed."""
    requirements.commands("useradd", "userdel", "setpriv")
    python = interpreter()
    name = f"cinspect-u{os.getpid()}"
    directory = Path(tempfile.mkdtemp(prefix="cinspect-user-", dir="/var/tmp"))
    ids = () if subordinate else ("--key", "SUB_UID_COUNT=0", "--key", "SUB_GID_COUNT=0")
    subprocess.run(
        ("useradd", *ids, "--no-create-home", "--home", str(directory), name), check=True
    )
    try:
        made = User(name, pwd.getpwnam(name).pw_uid, directory, python, directory / "run")
        made.give(directory).chmod(0o755)
        made.run_directory.mkdir(mode=0o700)
        made.give(made.run_directory)
        source = directory / "source" / "runtime"
        shutil.copytree(RUNTIME, source, ignore=shutil.ignore_patterns("__pycache__"))
        # Once, and not at each call: the user may not write beside it.
        subprocess.run((python, "-m", "compileall", "-q", str(source)), check=True)
        yield made
        assert traces.mounts(str(directory)) == []
    finally:
        _end(made)
        traces.remove(directory.name)
        subprocess.run(("userdel", name), check=True, capture_output=True)
        shutil.rmtree(directory)


@contextlib.contextmanager
def own_systemd(made: User) -> Iterator[User]:
    """Run the user's own systemd; yield the user as it is in a session: with its bus."""
    words = ("systemctl", "--quiet")
    unit = f"user@{made.uid}.service"
    subprocess.run((*words, "start", unit), check=True, stdin=subprocess.DEVNULL)
    try:
        yield replace(made, run_directory=Path(f"/run/user/{made.uid}"))
    finally:
        subprocess.run((*words, "stop", unit), check=True, stdin=subprocess.DEVNULL)


def _end(made: User) -> None:
    deadline = time.monotonic() + 10
    while left := made.processes():
        assert time.monotonic() < deadline, left
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
