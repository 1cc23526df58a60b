"""Records of containers and snapshots in one SQLite file that several processes may use at once."""

import json
import os
import sqlite3
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from runtime import paths
from runtime.errors import AlreadyExists, Internal, NotFound, PermissionDenied, Unavailable
from runtime.metadata import schema

_BUSY_SECONDS: Final = 10
_SELECT: Final = (
    "SELECT id, name, image, rootfs, labels, command, auto_remove, created_at, ready, error"
    " FROM containers WHERE namespace = ?"
)
_UPDATE: Final = (
    "UPDATE containers SET name = coalesce(?, name), ready = coalesce(?, ready),"
    " error = nullif(coalesce(?, error), '') WHERE namespace = ? AND id = ?"
)


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """What is known of a container when nobody runs."""

    id: str
    name: str
    image: str | None
    rootfs: str | None
    labels: Mapping[str, str]
    command: tuple[str, ...]
    auto_remove: bool
    created_at: int
    """Nanoseconds since 1970."""
    ready: bool = False
    """False while it is being made, or if that was interrupted."""
    error: str | None = None
    """Why the last start failed."""


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """One writable layer and what lies below it."""

    number: int
    key: str
    lowerdirs: tuple[str, ...]
    created_at: int
    """Nanoseconds since 1970."""


class Store:
    """The database of one `root`; records of containers belong to a namespace, snapshots do not."""

    def __init__(self, path: str, *, namespace: str) -> None:
        self._path = path
        self._namespace = namespace
        self._connection: sqlite3.Connection | None = None

    def exists(self) -> bool:
        """Tell whether there is a database at all; reading must not make one.

        Raises `PermissionDenied` where this user may not know.
        """
        try:
            os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise PermissionDenied(f"cannot read {self._path}: {error.strerror}") from error
        return True

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Write: one writer at a time, everything or nothing."""
        database = self._open()
        with _translated(self._path):
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            with _translated(self._path):
                paths.make_private(os.path.dirname(self._path))
                connection = sqlite3.connect(
                    self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                _write_ahead(connection)
                # a record that a power failure takes back leaves directories that nobody knows of
                connection.execute("PRAGMA synchronous = FULL")
                schema.migrate(connection)
                self._connection = connection
        return self._connection

    def _query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        database = self._open()
        with _translated(self._path):
            return database.execute(statement, values).fetchall()

    # containers ----------------------------------------------------------------------------------

    def containers(self) -> tuple[ContainerRecord, ...]:
        """Return every container of the namespace, oldest first."""
        if not self.exists():
            return ()
        rows = self._query(_SELECT + " ORDER BY seq", self._namespace)
        return tuple(_container(row) for row in rows)

    def container(self, container_id: str) -> ContainerRecord:
        """Return one container's record by its whole id, or raise `NotFound`."""
        rows = self.exists() and self._query(
            _SELECT + " AND id = ?",
            self._namespace,
            container_id,
        )
        if not rows:
            raise NotFound(f"no container {container_id!r}")
        return _container(rows[0])

    def add(self, record: ContainerRecord) -> None:
        """Add a container; a name or id that is taken raises `AlreadyExists`."""
        try:
            with self._transaction() as database:
                database.execute(
                    "INSERT INTO containers (namespace, id, name, image, rootfs, labels, command,"
                    " auto_remove, created_at, ready, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        self._namespace,
                        record.id,
                        record.name,
                        record.image,
                        record.rootfs,
                        json.dumps(dict(record.labels)),
                        json.dumps(record.command),
                        record.auto_remove,
                        record.created_at,
                        record.ready,
                        record.error,
                    ),
                )
        except sqlite3.IntegrityError as error:
            raise AlreadyExists(f"there is a container {record.name!r} already") from error

    def update(
        self,
        container_id: str,
        *,
        name: str | None = None,
        ready: bool | None = None,
        error: str | None = None,
    ) -> None:
        """Change what is given; an `error` of "" clears it. No such container raises `NotFound`."""
        try:
            with self._transaction() as database:
                cursor = database.execute(
                    _UPDATE, (name, ready, error, self._namespace, container_id)
                )
        except sqlite3.IntegrityError as failure:
            raise AlreadyExists(f"there is a container {name!r} already") from failure
        if not cursor.rowcount:
            raise NotFound(f"no container {container_id!r}")

    def delete(self, container_id: str) -> None:
        """Forget a container; one that is not there is no error."""
        with self._transaction() as database:
            database.execute(
                "DELETE FROM containers WHERE namespace = ? AND id = ?",
                (self._namespace, container_id),
            )

    # snapshots -----------------------------------------------------------------------------------

    def snapshots(self) -> tuple[SnapshotRecord, ...]:
        """Return every snapshot, oldest first."""
        if not self.exists():
            return ()
        rows = self._query(
            "SELECT number, key, lowerdirs, created_at FROM snapshots ORDER BY number"
        )
        return tuple(_snapshot(row) for row in rows)

    def snapshot(self, key: str) -> SnapshotRecord:
        """Return one snapshot, or raise `NotFound`."""
        rows = self.exists() and self._query(
            "SELECT number, key, lowerdirs, created_at FROM snapshots WHERE key = ?", key
        )
        if not rows:
            raise NotFound(f"no snapshot {key!r}")
        return _snapshot(rows[0])

    def add_snapshot(self, key: str, lowerdirs: tuple[str, ...]) -> SnapshotRecord:
        """Add a snapshot; its number is never given out again. `AlreadyExists` if the key is taken."""
        created_at = time.time_ns()
        try:
            with self._transaction() as database:
                cursor = database.execute(
                    "INSERT INTO snapshots (key, lowerdirs, created_at) VALUES (?, ?, ?)",
                    (key, json.dumps(lowerdirs), created_at),
                )
        except sqlite3.IntegrityError as error:
            raise AlreadyExists(f"there is a snapshot {key!r} already") from error
        if cursor.lastrowid is None:
            raise Internal(f"SQLite gave snapshot {key!r} no number")
        return SnapshotRecord(cursor.lastrowid, key, lowerdirs, created_at)

    def delete_snapshot(self, key: str) -> None:
        """Forget a snapshot; one that is not there is no error."""
        with self._transaction() as database:
            database.execute("DELETE FROM snapshots WHERE key = ?", (key,))


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Have a log beside the database; of two that make it at once SQLite lets one fail, not wait."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def _translated(path: str) -> Generator[None]:
    """Turn SQLite's failures into ours; IntegrityError passes, its meaning is the caller's."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.OperationalError as error:
        text = str(error)
        if "readonly" in text or "unable to open" in text:
            raise PermissionDenied(f"cannot use {path}: {text}") from error
        raise Unavailable(f"cannot use {path}: {text}") from error
    except sqlite3.DatabaseError as error:
        raise Internal(f"{path} is damaged: {error}") from error


def _container(row: tuple[object, ...]) -> ContainerRecord:
    id_, name, image, rootfs, labels, command, auto_remove, created_at, ready, error = row
    return ContainerRecord(
        id=str(id_),
        name=str(name),
        image=None if image is None else str(image),
        rootfs=None if rootfs is None else str(rootfs),
        labels=json.loads(str(labels)),
        command=tuple(json.loads(str(command))),
        auto_remove=bool(auto_remove),
        created_at=int(str(created_at)),
        ready=bool(ready),
        error=None if error is None else str(error),
    )


def _snapshot(row: tuple[object, ...]) -> SnapshotRecord:
    number, key, lowerdirs, created_at = row
    return SnapshotRecord(
        int(str(number)), str(key), tuple(json.loads(str(lowerdirs))), int(str(created_at))
    )
