"""LXC, which has no daemon: a directory a container, with its configuration in it (lxc.conf(5))."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence

from collectors import directories
from collectors.directories import Place
from collectors.engine import EngineContainer, EngineReading
from collectors.homes import homes, read_owned
from runtime.formats import text

_SYSTEM = "/var/lib/lxc"
_SETTING = re.compile(r"^\s*([a-z0-9._]+)\s*=\s*(.*?)\s*$", re.MULTILINE)

_TOLD = ("lxc.arch", "lxc.rootfs.path", "lxc.uts.name")


class LxcEngine:
    """Lists what LXC has been told of; whether one runs, the kernel knows."""

    name = "lxc"

    def __init__(self, places: Sequence[Place]) -> None:
        """Take the directories to look in."""
        self.address = places[0].path if places else None
        self._places = places

    async def collect(self) -> EngineReading:
        """Read; raise `Missing` where there is none, `Denied` where none may be read."""
        return await asyncio.to_thread(directories.read, self.name, self._places, _container)


def places(environment: Mapping[str, str]) -> Iterator[Place]:
    """Yield the system's directory, the one that lxc.system.conf(5) sets, and the users'."""
    yield from _configured("/etc/lxc/lxc.conf", 0)
    yield Place(_SYSTEM, 0)
    for home in homes(environment):
        yield from _configured(f"{home.path}/.config/lxc/lxc.conf", home.uid)
        if home.uid:
            yield Place(f"{home.data}/lxc", home.uid)


def _configured(path: str, uid: int) -> Iterator[Place]:
    try:
        said = dict(_SETTING.findall(read_owned(path, uid).decode("utf-8", "replace")))
    except OSError:
        return
    directory = said.get("lxc.lxcpath", "")
    if directory.startswith("/"):
        yield Place(directory.rstrip("/"), uid)


def _container(place: Place, name: str) -> EngineContainer | None:
    path = f"{place.path}/{name}/config"
    try:
        configuration = read_owned(path, place.uid).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = f"{text.clean(path)}: {error.strerror}"
        return EngineContainer(id=text.clean(name), engine="lxc", error=reason)
    said = dict(_SETTING.findall(configuration))
    return EngineContainer(
        id=text.clean(name),
        engine="lxc",
        name=text.clean(name),
        labels={key: said[key] for key in _TOLD if said.get(key)},
    )
