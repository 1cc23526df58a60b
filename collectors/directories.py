"""Engines without a daemon that keep a directory for each container, in places of several users."""

import errno
import os
from collections.abc import Callable, Sequence
from itertools import islice

from msgspec import Struct

from collectors.engine import EngineContainer, EngineReading
from collectors.errors import Denied, Missing

_MOST = 4096
"""Names of one place that are looked at: a user can make as many as the disk takes."""


class Place(Struct, frozen=True):
    """A directory with a directory for each container in it, and whose it is."""

    path: str
    uid: int


def read(
    engine: str, places: Sequence[Place], look: Callable[[Place, str], EngineContainer | None]
) -> EngineReading:
    """Return what `look` says of each name in each place.

    Raises `Denied` or `Missing` where no place can be listed.
    """
    address = places[0].path if places else None
    found: list[EngineContainer] = []
    failures: list[OSError] = []
    for place in places:
        try:
            with os.scandir(place.path) as entries:
                names = sorted(entry.name for entry in islice(entries, _MOST))
        except OSError as error:
            failures.append(error)
            continue
        found += [one for name in names if (one := look(place, name)) is not None]
    if len(failures) == len(places):
        denied = [one for one in failures if one.errno in {errno.EACCES, errno.EPERM}]
        if denied:
            raise Denied(str(denied[0].filename), "readdir", str(denied[0].strerror))
        raise Missing(address or engine, "readdir", os.strerror(errno.ENOENT))
    return EngineReading(name=engine, version=None, address=address, containers=tuple(found))
