"""The embedded engine's command line on stores of the tests' own, and what a dump says of it."""

import contextlib
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import command


@dataclass(frozen=True)
class Engine:
    """Runs `cinspect` with these stores."""

    data: Path
    state: Path

    @property
    def options(self) -> tuple[str, ...]:
        """The global options that choose the stores."""
        return ("--root", str(self.data), "--state", str(self.state))

    def cinspect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, whatever its status is."""
        return command.cinspect(*self.options, *arguments)

    def __call__(self, *arguments: str) -> str:
        """Run one command that must end well; return what it printed."""
        return command.succeed(*self.options, *arguments)

    def dump(self, *arguments: str) -> Any:
        """Take a frame."""
        return command.dump(*self.options, "dump", *arguments)

    def container(self, reference: str, *arguments: str) -> Any:
        """Return the one container of this id as a dump shows it."""
        found = self.dump("--section", "containers", "--container", reference, *arguments)
        assert len(found["containers"]) == 1, found
        return found["containers"][0]

    @contextlib.contextmanager
    def running(
        self, *arguments: str, options: tuple[str, ...] = (), prefix: str = "live"
    ) -> Iterator[str]:
        """Run a command in a container on the host's own root; yield the container's id."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        identifier = self("run", "--detach", "--name", name, *options, "@host", *arguments)
        try:
            yield identifier
        finally:
            self("rm", "--force", identifier)
