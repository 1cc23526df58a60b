"""A running `cinspect events`, and what it has printed so far."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import command

Event = dict[str, Any]


class Stream:
    """What one prints, a line of JSON an event."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def seen(self) -> list[Event]:
        """Return what was printed so far."""
        *lines, _ = self._output.read_bytes().split(b"\n")
        return [json.loads(line) for line in lines]

    def of(self, container: str | None) -> list[Event]:
        """Return those of one container, or of none."""
        return [event for event in self.seen() if event["container"] == container]

    def until(
        self, enough: Callable[[list[Event]], bool], container: str | None, *, seconds: float = 40
    ) -> list[Event]:
        """Wait until what a container's events say is enough; return them."""
        command.eventually(lambda: enough(self.of(container)), seconds=seconds)
        time.sleep(1.5)  # what would be told twice would be by now
        return self.of(container)


@contextlib.contextmanager
def streaming(
    output: Path, options: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Stream]:
    """Run `cinspect OPTIONS events` for as long as the block; it has begun to listen."""
    with (
        output.open("wb") as file,
        subprocess.Popen(
            (command.CINSPECT, *options, "events"),
            stdin=subprocess.DEVNULL,
            stdout=file,
            env={**os.environ, **(environment or {})},
        ) as process,
    ):
        try:
            command.eventually(lambda: _listens(process.pid), seconds=60)
            time.sleep(1.5)  # the first frame is what others are compared with
            yield Stream(output)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _listens(pid: int) -> bool:
    """Return whether both the loop and the one that listens have what they sleep on."""
    links: list[str] = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(os.readlink(descriptor))
    return links.count("anon_inode:[eventpoll]") > 1


def also(event: Event) -> set[str]:
    """Return who else told of an event."""
    return {f"{account['source']} {account['topic']}" for account in event["seen_by"]}


def one(events: list[Event], topic: str) -> Event:
    """Return the only event of a topic."""
    (found,) = [event for event in events if event["topic"] == topic]
    return found
