"""Podman's and CRI-O's containers by the record that their common storage library keeps of them.

Neither needs a service to run: then this is what names containers that are stopped, and the image
of one that runs. Only names are taken from it; that a container runs, the kernel tells.
"""

import asyncio
import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import msgspec
from msgspec import Struct

from collectors.decoding import decode, moment
from collectors.engine import EngineContainer, EngineReading, teller
from collectors.errors import Denied, Missing, Problem, Unavailable
from collectors.homes import homes, read_owned

_SYSTEM = "/var/lib/containers/storage"
_DRIVERS = ("overlay", "vfs", "btrfs", "zfs")
"""How layers may be kept, each in a directory of its own with a list of containers beside it."""
_FILES = ("containers.json", "volatile-containers.json")
_GRAPHROOT = re.compile(r'^\s*graphroot\s*=\s*"([^"\n]+)"', re.MULTILINE)


class Storage(Struct, frozen=True):
    """A storage's directory, and whose it is."""

    path: str
    uid: int


class _Record(Struct):
    """One entry of containers.json (containers/storage)."""

    id: str
    names: list[str] | None = None
    image: str | None = None
    metadata: str = ""
    """JSON, of whoever made the container."""
    created: str | None = None


class _Metadata(Struct, rename="kebab"):
    """What Podman and CRI-O write; another's, as Buildah's, has no name."""

    name: str | None = None
    image_name: str | None = None
    pod_id: str | None = None
    """CRI-O."""
    pod_name: str | None = None
    namespace: str | None = None
    container_name: str | None = None


class StorageEngine:
    """Reads the lists of every storage; one that has not changed is not read again."""

    name = "podman-storage"

    def __init__(self, storages: Sequence[Storage]) -> None:
        """Take the storages to look in."""
        self.address = storages[0].path if storages else None
        self._storages = storages
        self._known: dict[str, tuple[tuple[int, int, int], tuple[EngineContainer, ...]]] = {}

    async def collect(self) -> EngineReading:
        """Read; raise `Missing` where there is none, `Denied` where none may be read."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> EngineReading:
        found: list[EngineContainer] = []
        failures: list[OSError] = []
        problems: list[Problem] = []
        read = 0
        for storage in self._storages:
            for driver, name in product(_DRIVERS, _FILES):
                path = f"{storage.path}/{driver}-containers/{name}"
                try:
                    found += self._list(path, storage.uid)
                    read += 1
                except OSError as error:
                    failures.append(error)
                except msgspec.DecodeError as error:
                    # One user's file, which that user may write as they like: not the others'.
                    message = f"not a list of containers: {error}"
                    problems.append(Unavailable(path, "read", message).problem())
        if not read and not problems:
            denied = [one for one in failures if one.errno in {errno.EACCES, errno.EPERM}]
            if denied:
                raise Denied(str(denied[0].filename), "open", str(denied[0].strerror))
            raise Missing(self.address or self.name, "open", os.strerror(errno.ENOENT))
        return EngineReading(
            name=self.name,
            version=None,
            address=self.address,
            containers=tuple(found),
            problems=tuple(problems),
        )

    def _list(self, path: str, uid: int) -> tuple[EngineContainer, ...]:
        said = os.stat(path)
        mark = (said.st_ino, said.st_mtime_ns, said.st_size)
        known = self._known.get(path)
        if known is None or known[0] != mark:
            records = decode(read_owned(path, uid), list[_Record])
            named = (_container(record, uid) for record in records)
            known = mark, tuple(one for one in named if one is not None)
            self._known[path] = known
        return known[1]


def storages(environment: Mapping[str, str]) -> Iterator[Storage]:
    """Yield the system's storage, the users', and where the configuration says another."""
    seen: set[str] = set()
    for storage in _places(environment):
        if storage.path not in seen:
            seen.add(storage.path)
            yield storage


def _places(environment: Mapping[str, str]) -> Iterator[Storage]:
    said = environment.get("CONTAINERS_STORAGE_CONF")
    if said:
        yield from _configured(said, os.getuid())
    yield Storage(_SYSTEM, 0)
    yield from _configured("/etc/containers/storage.conf", 0)
    for home in homes(environment):
        yield Storage(f"{home.data}/containers/storage", home.uid)
        yield from _configured(f"{home.path}/.config/containers/storage.conf", home.uid)


def _configured(path: str, uid: int) -> Iterator[Storage]:
    """Yield what a containers-storage.conf(5) sets as `graphroot`."""
    try:
        found = _GRAPHROOT.search(read_owned(path, uid).decode("utf-8", "replace"))
    except OSError:
        return
    if found and found[1].startswith("/") and "$" not in found[1]:
        yield Storage(found[1].rstrip("/"), uid)


def _container(record: _Record, uid: int) -> EngineContainer | None:
    try:
        metadata = decode(record.metadata.encode(), _Metadata)
    except msgspec.DecodeError:
        return None
    if metadata.name is None and metadata.pod_id is None:
        return None
    kubernetes = metadata.pod_id is not None
    pod = metadata.pod_name
    name = metadata.container_name or metadata.name
    return EngineContainer(
        id=record.id,
        engine="cri-o" if kubernetes else "podman",
        name=name or next(iter(record.names or ()), None),
        pod=f"{metadata.namespace}/{pod}" if pod and metadata.namespace else pod,
        image=metadata.image_name or None,
        created_at=moment(record.created),
        said_by=teller(uid),
    )
