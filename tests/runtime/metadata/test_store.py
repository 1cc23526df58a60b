"""Records in SQLite, from several processes at once."""

import sqlite3
import subprocess
import sys
import threading

import pytest

from runtime.errors import AlreadyExists, FailedPrecondition, Internal, NotFound, PermissionDenied
from runtime.metadata import schema
from runtime.metadata.store import ContainerRecord, Store


def record(number=1, **more):
    values = {
        "id": f"{number:064x}",
        "name": f"name{number}",
        "image": "@host",
        "rootfs": None,
        "labels": {"a": "b", "ü": "\n"},
        "command": ("sh", "-c", "x y"),
        "auto_remove": False,
        "created_at": 1_700_000_000_000_000_001 + number,
    }
    return ContainerRecord(**values | more)


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "root" / "metadata.db"), namespace="default")
    yield store
    store.close()


def test_reading_makes_no_database(store, tmp_path):
    assert store.containers() == ()
    assert store.snapshots() == ()
    with pytest.raises(NotFound):
        store.container("x")
    assert not (tmp_path / "root").exists()


def test_a_record_comes_back_as_it_was(store):
    for number in (1, 2):
        store.add(record(number))
    assert store.containers() == (record(1), record(2))
    assert store.container(record(2).id) == record(2)


def test_the_database_is_its_users_alone(store, tmp_path):
    store.add(record())
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o700


def test_a_name_and_an_id_are_taken_once(store):
    store.add(record(1))
    with pytest.raises(AlreadyExists, match="'name1'"):
        store.add(record(2, name="name1"))
    with pytest.raises(AlreadyExists):
        store.add(record(1, name="other"))
    store.add(record(2))
    with pytest.raises(AlreadyExists):
        store.update(record(2).id, name="name1")
    assert len(store.containers()) == 2


def test_another_namespace_has_names_of_its_own(store, tmp_path):
    store.add(record(1))
    other = Store(str(tmp_path / "root" / "metadata.db"), namespace="other")
    other.add(record(1))
    other.delete(record(1).id)
    assert store.containers() == (record(1),)
    other.close()


def test_an_update_changes_only_what_is_given(store):
    store.add(record())
    store.update(record().id, ready=True, error="why")
    assert store.container(record().id) == record(ready=True, error="why")
    store.update(record().id, name="new", error="")
    assert store.container(record().id) == record(ready=True, name="new")
    with pytest.raises(NotFound):
        store.update("0" * 64, ready=True)


def test_deleting_twice_is_no_error(store):
    store.add(record())
    store.delete(record().id)
    store.delete(record().id)
    assert store.containers() == ()


def test_a_snapshots_number_is_never_given_out_again(store):
    first = store.add_snapshot("a", ("/", "/x:y"))
    assert store.snapshot("a") == first
    assert first.lowerdirs == ("/", "/x:y")
    store.delete_snapshot("a")
    assert store.add_snapshot("b", ("/",)).number > first.number
    with pytest.raises(NotFound):
        store.snapshot("a")
    with pytest.raises(AlreadyExists):
        store.add_snapshot("b", ("/",))


def test_a_failed_write_leaves_nothing_and_the_store_goes_on(store):
    def fail():
        with store._transaction() as database:
            database.execute("DELETE FROM containers")
            raise RuntimeError

    store.add(record(1))
    with pytest.raises(RuntimeError):
        fail()
    assert store.containers() == (record(1),)
    store.add(record(2))


def test_a_database_of_a_newer_version_is_left_alone(store, tmp_path):
    store.add(record())
    store.close()
    path = tmp_path / "root" / "metadata.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(FailedPrecondition, match="version 99"):
        Store(str(path), namespace="default").containers()


def test_migrations_are_applied_in_order_and_once(monkeypatch):
    database = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(database)
    more = (*schema.MIGRATIONS, "ALTER TABLE containers ADD COLUMN extra TEXT")
    monkeypatch.setattr(schema, "MIGRATIONS", more)
    for _ in range(2):
        schema.migrate(database)
    columns = [row[1] for row in database.execute("PRAGMA table_info(containers)")]
    assert columns[-1] == "extra"
    database.close()


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "metadata.db"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(Internal, match=r"metadata\.db is damaged"):
        Store(str(path), namespace="default").containers()


def test_a_root_that_cannot_be_made_is_said_to_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PermissionDenied, match="cannot make"):
        Store(str(tmp_path / "file" / "below" / "db"), namespace="default").add(record())


WRITER = """
import sys
sys.path.insert(0, sys.argv[4])
from runtime.metadata.store import ContainerRecord, Store
from runtime.errors import AlreadyExists
store = Store(sys.argv[1], namespace="default")
won = 0
for number in range(int(sys.argv[3])):
    store.add(ContainerRecord(id=f"{sys.argv[2]}-{number}", name=f"{sys.argv[2]}-{number}", image=None,
        rootfs=None, labels={}, command=(), auto_remove=False, created_at=0))
    try:
        store.add(ContainerRecord(id=f"{sys.argv[2]}+{number}", name=f"shared-{number}", image=None,
            rootfs=None, labels={}, command=(), auto_remove=False, created_at=0))
        won += 1
    except AlreadyExists:
        pass
print(won)
"""


def test_writers_in_several_processes_lose_nothing_and_share_no_name(store, tmp_path, request):
    # the first ones make the database and migrate it at the same moment, too
    path = str(tmp_path / "root" / "metadata.db")
    command = [sys.executable, "-c", WRITER, path]
    writers = [
        subprocess.Popen(
            [*command, str(number), "25", str(request.config.rootpath)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    won = [int(writer.communicate()[0]) for writer in writers]
    assert sum(won) == 25
    assert len(store.containers()) == 4 * 25 + 25


def test_who_makes_the_database_waits_for_another_that_does(store, tmp_path):
    path = tmp_path / "root" / "metadata.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE other (a)")
    other.execute("BEGIN IMMEDIATE")
    ending = threading.Timer(0.3, other.execute, ("ROLLBACK",))
    ending.start()
    store.add(record())
    ending.join()
    other.close()
    assert store.containers() == (record(),)
