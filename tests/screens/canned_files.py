"""Files of canned containers: a small stack of layers, for the screens to ask about."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from inspector.control import ActionFailed, TargetExists, Viewed, Weighed
from inspector.domains.containers.model import Container
from inspector.layers.growth import DirectoryGrowth, Growth, PathGrowth
from inspector.layers.model import (
    DeletedFile,
    Holder,
    PathReport,
    PathVersion,
    Waste,
    WastedPath,
)

AT = datetime(2026, 3, 2, 17, 1, tzinfo=UTC)


def version(layer: str, path: str, kind: str = "file", **changes) -> PathVersion:
    fields = {
        "layer": layer,
        "path": path,
        "kind": kind,
        "size_bytes": 1204 if kind == "file" else 0,
        "mode": {"directory": "drwxr-xr-x", "symlink": "lrwxrwxrwx"}.get(kind, "-rw-r--r--"),
        "uid": 0,
        "gid": 0,
        "modified_at": AT,
        "in_layer_since": AT,
        "supplies": True,
        "merged": False,
        "hidden_by": None,
        "why": None,
        "opaque": False,
        "redirect": None,
        "metacopy": False,
        "target": None,
    }
    return PathVersion(**{**fields, **changes})


def hidden(layer: str, path: str, by: str, why: str = "replaced", **changes) -> PathVersion:
    return version(layer, path, supplies=False, hidden_by=by, why=why, **changes)


def entry(path: str, *versions: PathVersion, copied_up=None) -> PathReport:
    seen = versions[0].kind != "whiteout"
    return PathReport(
        path=path,
        supplied_by=versions[0].layer if seen else None,
        copied_up_at=copied_up,
        versions=versions,
    )


def directory(path: str, *layers: str) -> PathReport:
    first, *rest = layers or ("lower 3",)
    below = [version(one, path, "directory", supplies=False, merged=True) for one in rest]
    return entry(path, version(first, path, "directory"), *below)


LISTINGS = {
    "/": (
        entry("/bin", version("lower 3", "/bin", "symlink", target="usr/bin")),
        directory("/etc", "upper", "lower 2", "lower 3"),
        directory("/srv", "upper", "lower 0"),
        directory("/usr"),
        directory("/var", "upper", "lower 3"),
    ),
    "/etc": (
        entry(
            "/etc/motd",
            version("upper", "/etc/motd", "whiteout"),
            hidden("lower 1", "/etc/motd", "upper", "deleted", size_bytes=240),
        ),
        entry(
            "/etc/passwd",
            version("upper", "/etc/passwd", modified_at=AT + timedelta(minutes=1)),
            hidden("lower 2", "/etc/passwd", "upper", size_bytes=1150),
            hidden("lower 3", "/etc/passwd", "lower 2", size_bytes=1020),
            copied_up=AT + timedelta(seconds=12),
        ),
        directory("/etc/ssl"),
    ),
    "/etc/ssl": (entry("/etc/ssl/openssl.cnf", version("lower 3", "/etc/ssl/openssl.cnf")),),
    "/srv": (directory("/srv/app", "upper", "lower 0"),),
}
CONTENTS = {
    "/etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nweb:\x1b[2J:1000::\n",
    "/etc/ssl/openssl.cnf": b"\x7fELF\0\0\x01" + bytes(range(64)),
}


def waste(ratio: float) -> Weighed:
    return Weighed(
        waste=Waste(
            visible_bytes=round(72_000_000 * ratio),
            hidden_bytes=round(5_000_000 * ratio),
            efficiency=72 / 77,
            by_reason={"replaced": round(4_000_000 * ratio), "deleted": 1_000_000, "opaque": 0},
            same_bytes=1020,
            paths=(
                WastedPath(
                    path="/usr/lib/libssl.so.3",
                    layer="lower 3",
                    hidden_by="lower 1",
                    why="replaced",
                    size_bytes=4_000_000,
                    files=1,
                    is_directory=False,
                ),
                WastedPath(
                    path="/var/cache",
                    layer="lower 3",
                    hidden_by="upper",
                    why="opaque",
                    size_bytes=1_000_000,
                    files=41,
                    is_directory=True,
                ),
            ),
            entries=round(3412 * ratio),
            complete=ratio == 1,
            walked_ratio=ratio,
        ),
        sizes={f"/var/lib/docker/overlay2/l{index}/diff": 9_000_000 for index in range(4)}
        if ratio == 1
        else {},
    )


class CannedFiles:
    """Notes what it was asked for; `held` makes a weighing wait in the middle."""

    def __init__(self, note: Callable[..., None]) -> None:
        self._note = note
        self.held: asyncio.Event | None = None
        self.there: set[str] = set()
        self.saved: list[tuple[object, ...]] = []
        self.cancelled = False
        self.walks = 0

    async def which(self, container: Container, path: str) -> PathReport:
        for entries in LISTINGS.values():
            for one in entries:
                if one.path == path:
                    return one
        raise ActionFailed(f"{container.name}: {path}: no layer has it")

    async def listing(self, container: Container, path: str) -> tuple[PathReport, ...]:
        self._note("listing", container.name, path)
        if path not in LISTINGS:
            raise ActionFailed(f"{container.name}: {path}: permission denied")
        return LISTINGS[path]

    async def weigh(self, container: Container, tell: Callable[[Weighed], None]) -> Weighed:
        self._note("weigh", container.name)
        tell(waste(0.34))
        try:
            if self.held is not None:
                await self.held.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return waste(1)

    async def growth(self, container: Container) -> Growth | None:
        self.walks += 1
        if self.walks == 1:
            return None
        return Growth(
            seconds=70.0,
            size_bytes=4_300_000,
            grown_bytes=900_000,
            bytes_per_second=12_857.0,
            written_bytes=1_400_000,
            new=1,
            grew=1,
            rewritten=1,
            shrank=0,
            gone=2,
            paths=(
                PathGrowth(
                    path="/srv/app/cache.db",
                    what="grew",
                    size_bytes=3_900_000,
                    grown_bytes=900_000,
                    written_bytes=900_000,
                    is_directory=False,
                ),
            ),
            directories=(DirectoryGrowth(path="/srv/app", written_bytes=900_000, files=2),),
            complete=True,
        )

    async def deleted(self, container: Container) -> tuple[DeletedFile, ...]:
        self._note("deleted", container.name)
        return (
            DeletedFile(
                path="/var/log/access.log",
                kind="file",
                size_bytes=70_000_000,
                disk_bytes=70_000_000,
                holders=(Holder(container.pid or 1, 7),),
            ),
        )

    async def view(
        self, container: Container, path: str, *, layer: str | None, most_bytes: int
    ) -> Viewed:
        self._note("view", container.name, path, layer)
        data = CONTENTS.get(path, b"")
        return Viewed(
            path=path,
            layer=layer,
            data=data[:most_bytes],
            size_bytes=len(data),
            complete=len(data) <= most_bytes,
        )

    async def save(
        self, container: Container, path: str, to: str, *, layer: str | None, replace: bool
    ) -> int:
        if to in self.there and not replace:
            raise TargetExists(f"{to}: there is a file of this name already")
        self.saved.append((container.name, path, to, layer, replace))
        return len(CONTENTS.get(path, b""))
