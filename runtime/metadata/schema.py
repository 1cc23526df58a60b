"""The database's tables, and the steps that bring an older database up to date."""

import sqlite3
from typing import Final

from runtime.errors import FailedPrecondition

MIGRATIONS: Final = (
    """
    CREATE TABLE containers (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        namespace TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        image TEXT,
        rootfs TEXT,
        labels TEXT NOT NULL,
        command TEXT NOT NULL,
        auto_remove INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        ready INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        UNIQUE (namespace, id),
        UNIQUE (namespace, name)
    );
    CREATE TABLE snapshots (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        lowerdirs TEXT NOT NULL,
        created_at INTEGER NOT NULL
    );
    """,
)
"""One script a version; `PRAGMA user_version` counts those that were applied."""


def migrate(database: sqlite3.Connection) -> None:
    """Apply what is missing, each step in a transaction of its own.

    A database of a newer cinspect raises `FailedPrecondition` and is left alone.
    """
    if _version(database) == len(MIGRATIONS):
        return
    while True:
        database.execute("BEGIN IMMEDIATE")
        try:
            version = _version(database)
            if version >= len(MIGRATIONS):
                break
            for statement in MIGRATIONS[version].split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {version + 1}")
        finally:
            database.execute("COMMIT")
    if version > len(MIGRATIONS):
        raise FailedPrecondition(
            f"the database has version {version}, of a newer cinspect; this one knows {len(MIGRATIONS)}"
        )


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])
