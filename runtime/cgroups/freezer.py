"""Stop and continue every process of a cgroup (freezer-subsystem.rst; cgroup-v2.rst)."""

import time
from typing import Protocol

from runtime.cgroups.hierarchy import read, write
from runtime.errors import DeadlineExceeded, FailedPrecondition
from runtime.formats import flat

_SECONDS = 10.0


class Freezer(Protocol):
    """A cgroup that can be frozen."""

    def freeze(self) -> None:
        """Stop it; raises `DeadlineExceeded` if a process will not stop in ten seconds."""
        ...

    def thaw(self) -> None:
        """Let it go on."""
        ...

    def frozen(self) -> bool:
        """Tell whether it is stopped, or being stopped."""
        ...


class FirstFreezer:
    """v1's: a state to be written until it is reached."""

    __slots__ = ("_directory",)

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def _state(self) -> str:
        return read(f"{self._directory}/freezer.state").decode().strip()

    def _write(self, state: str) -> None:
        try:
            write(f"{self._directory}/freezer.state", state)
        except FileNotFoundError:
            raise FailedPrecondition(f"{self._directory}: there is no such cgroup") from None

    def freeze(self) -> None:
        """Write FROZEN until it says so: a process that forks meanwhile may stay FREEZING."""
        deadline = time.monotonic() + _SECONDS
        self._write("FROZEN")
        while self._state() != "FROZEN":
            if time.monotonic() > deadline:
                self._write("THAWED")
                raise DeadlineExceeded(f"{self._directory}: a process does not freeze")
            time.sleep(0.001)
            self._write("FROZEN")

    def thaw(self) -> None:
        """Write THAWED; it takes effect at once."""
        self._write("THAWED")

    def frozen(self) -> bool:
        """Read the state; FREEZING counts."""
        try:
            return self._state() != "THAWED"
        except FileNotFoundError:
            return False


class SecondFreezer:
    """v2's: a wish in cgroup.freeze, the state in cgroup.events."""

    __slots__ = ("_directory",)

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def _write(self, value: str) -> None:
        try:
            write(f"{self._directory}/cgroup.freeze", value)
        except FileNotFoundError:
            raise FailedPrecondition(f"{self._directory}: there is no such cgroup") from None

    def _wait(self, wanted: int) -> bool:
        deadline = time.monotonic() + _SECONDS
        while flat.parse(read(f"{self._directory}/cgroup.events"))["frozen"] != wanted:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    def freeze(self) -> None:
        """Ask for it, and wait for the state."""
        self._write("1")
        if not self._wait(1):
            self._write("0")
            raise DeadlineExceeded(f"{self._directory}: a process does not freeze")

    def thaw(self) -> None:
        """Take the wish back."""
        self._write("0")

    def frozen(self) -> bool:
        """Read both: an ancestor's wish shows in the state alone."""
        try:
            wish = read(f"{self._directory}/cgroup.freeze").strip() == b"1"
            return wish or flat.parse(read(f"{self._directory}/cgroup.events"))["frozen"] == 1
        except FileNotFoundError:
            return False
