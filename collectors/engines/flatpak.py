"""Flatpak, which has no daemon: what `flatpak run` writes down of each application while it runs.

A directory an instance below the user's runtime directory, as `flatpak ps` reads them:
`info` (flatpak-metadata(5), its Application and Instance groups), `bwrapinfo.json`, `pid`.
"""

import asyncio
import os
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from collectors import directories
from collectors.decoding import decode
from collectors.directories import Place
from collectors.engine import EngineContainer, EngineReading
from collectors.homes import read_owned
from runtime.formats import text

_SETTING = re.compile(r"^(name|runtime|branch)=(.*)$", re.MULTILINE)


class _Sandbox(Struct, rename="kebab"):
    """What bubblewrap says of the sandbox that it made (bwrap(1), --info-fd)."""

    child_pid: int


class FlatpakEngine:
    """Lists the applications that run, by name: the kernel alone shows bubblewrap."""

    name = "flatpak"

    def __init__(self, places: Sequence[Place]) -> None:
        """Take the directories to look in."""
        self.address = places[0].path if places else None
        self._places = places

    async def collect(self) -> EngineReading:
        """Read; raise `Missing` where there is none, `Denied` where none may be read."""
        return await asyncio.to_thread(directories.read, self.name, self._places, _instance)


def places(environment: Mapping[str, str], users: str = "/run/user") -> Iterator[Place]:
    """Yield the directory of each user who has a session, and the caller's own."""
    seen: set[str] = set()
    try:
        names = sorted(name for name in os.listdir(users) if name.isdecimal())
    except OSError:
        names = []
    found = [Place(f"{users}/{name}/.flatpak", int(name)) for name in names]
    own = environment.get("XDG_RUNTIME_DIR", "").rstrip("/")
    if own.startswith("/"):
        found.append(Place(f"{own}/.flatpak", os.getuid()))
    for place in found:
        if place.path not in seen:
            seen.add(place.path)
            yield place


def _instance(place: Place, name: str) -> EngineContainer | None:
    """Return one that runs; what ended leaves its directory behind, without a process."""
    if not name.isdecimal():
        return None
    directory = f"{place.path}/{name}"
    try:
        info = read_owned(f"{directory}/info", place.uid).decode("utf-8", "replace")
        outer = read_owned(f"{directory}/pid", place.uid).decode("ascii", "replace").strip()
        sandbox = decode(read_owned(f"{directory}/bwrapinfo.json", place.uid), _Sandbox)
    except (OSError, msgspec.DecodeError):
        return None  # it begins or ends at this moment, or never was one
    said = {key: text.clean(value) for key, value in _SETTING.findall(info)}
    application = said.get("name")
    if not application or not outer.isdecimal() or not os.path.exists(f"/proc/{outer}"):
        return None
    return EngineContainer(
        # As the name of its cgroup has it, where systemd made one.
        id=f"{application}-{outer}",
        engine="flatpak",
        name=application,
        labels={
            "instance": name,
            **{key: said[key] for key in ("runtime", "branch") if key in said},
        },
        status="running",
        pid=sandbox.child_pid,
    )
