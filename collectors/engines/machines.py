"""Machines as systemd-machined registers them: those of systemd-nspawn, and what else asked to be.

What is read is what libsystemd's sd_machine_get_class(3) and its kin read: a file a machine.
"""

import asyncio
import errno
import os
import re
from collections.abc import Mapping
from datetime import datetime

from collectors.decoding import instant
from collectors.engine import EngineContainer, EngineReading
from collectors.errors import Denied, Missing
from collectors.homes import read_owned
from runtime.formats import text

_DIRECTORY = "/run/systemd/machines"
_LABELS: Mapping[str, str] = {"ROOT": "root", "SCOPE": "unit", "UNIT": "unit"}
"""A machine's unit is written as SCOPE, by some versions of systemd as UNIT."""
_SETTING = re.compile(rb'^([A-Z_]+)="?(.*?)"?$', re.MULTILINE)
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
"""Values are written as in C: a unit's own `\\x2d` has two backslashes, other bytes are octal."""


class MachinesEngine:
    """Lists the registered machines that are containers; virtual ones are none."""

    name = "systemd-machined"

    def __init__(self, address: str = _DIRECTORY) -> None:
        """Take the directory of the registrations."""
        self.address = address

    async def collect(self) -> EngineReading:
        """Read; raise `Missing` where there is none, `Denied` where it may not be read."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> EngineReading:
        try:
            # Beside each machine's file there are links to it, named by its unit.
            names = sorted(name for name in os.listdir(self.address) if ":" not in name)
        except OSError as error:
            kind = Denied if error.errno in {errno.EACCES, errno.EPERM} else Missing
            raise kind(self.address, "readdir", str(error.strerror)) from error
        containers = [_machine(f"{self.address}/{name}") for name in names]
        return EngineReading(
            name=self.name,
            version=None,
            address=self.address,
            containers=tuple(one for one in containers if one is not None),
        )


def _machine(path: str) -> EngineContainer | None:
    try:
        said = {
            key.decode(): _plain(value).decode("utf-8", "replace")
            for key, value in _SETTING.findall(read_owned(path, 0))
        }
    except OSError:
        return None  # it ended since the directory was listed, or is a link
    name = text.clean(said.get("NAME", ""))
    if not name or said.get("CLASS") != "container":
        return None
    leader = said.get("LEADER", "")
    service = said.get("SERVICE", "")
    return EngineContainer(
        id=name,
        engine="systemd-nspawn" if service in {"", "nspawn", "systemd-nspawn"} else service,
        name=name,
        labels={name: said[key] for key, name in _LABELS.items() if said.get(key)},
        pid=int(leader) if leader.isdecimal() else None,
        created_at=_moment(said),
    )


def _plain(value: bytes) -> bytes:
    def byte(found: re.Match[bytes]) -> bytes:
        escaped = found[1]
        return bytes((int(escaped, 8) & 0xFF,)) if len(escaped) == 3 else escaped

    return _ESCAPE.sub(byte, value)


def _moment(said: Mapping[str, str]) -> datetime | None:
    microseconds = said.get("REALTIME", "")
    return instant(int(microseconds) / 1e6) if microseconds.isdecimal() else None
