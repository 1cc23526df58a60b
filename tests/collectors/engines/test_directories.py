"""Engines without a daemon, by the files that they and their users leave: those may be anything."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import homes
from collectors.engines import lxc, podman_storage
from collectors.engines.lxc import LxcEngine, Place
from collectors.engines.machines import MachinesEngine
from collectors.engines.podman_storage import Storage, StorageEngine
from collectors.errors import Missing
from tests.inspector.canned import A, B, C

PODMAN = {
    "id": A,
    "names": ["web"],
    "image": B,
    "created": "2026-11-24T12:00:00.5Z",
    "metadata": json.dumps({"image-name": "docker.io/library/nginx:1", "name": "web"}),
}


@pytest.fixture
def storage(tmp_path):
    (tmp_path / "overlay-containers").mkdir()
    return tmp_path


def write(storage, *records, name="containers.json"):
    (storage / "overlay-containers" / name).write_text(json.dumps(records))


def engine(*storages):
    return StorageEngine([Storage(str(path), os.getuid()) for path in storages])


async def test_podmans_record_gives_name_and_image(storage):
    write(storage, PODMAN)
    (one,) = (await engine(storage).collect()).containers
    assert (one.id, one.engine, one.name) == (A, "podman", "web")
    assert (one.image, one.status, one.pid) == ("docker.io/library/nginx:1", None, None)
    assert one.created_at is not None
    assert one.created_at.isoformat() == "2026-11-24T12:00:00.500000+00:00"


@pytest.mark.parametrize("driver", ["vfs", "btrfs", "zfs"])
async def test_another_driver_keeps_the_list_beside_its_own_layers(tmp_path, driver):
    (tmp_path / f"{driver}-containers").mkdir()
    (tmp_path / f"{driver}-containers" / "containers.json").write_text(json.dumps([PODMAN]))
    (one,) = (await engine(tmp_path).collect()).containers
    assert (one.id, one.name) == (A, "web")


async def test_cri_os_record_gives_the_pod(storage):
    metadata = {"pod-name": "web-7d4", "pod-id": B, "namespace": "shop", "container-name": "nginx"}
    write(storage, {"id": A, "metadata": json.dumps(metadata)})
    (one,) = (await engine(storage).collect()).containers
    assert (one.engine, one.name, one.pod) == ("cri-o", "nginx", "shop/web-7d4")


async def test_a_record_of_another_tool_is_no_container(storage):
    write(storage, {"id": A, "names": ["alpine-working-container"], "metadata": ""}, {"id": B})
    assert (await engine(storage).collect()).containers == ()


async def test_containers_that_do_not_outlive_a_boot_have_a_list_of_their_own(storage):
    write(storage, PODMAN)
    write(storage, {**PODMAN, "id": C}, name="volatile-containers.json")
    assert [one.id for one in (await engine(storage).collect()).containers] == [A, C]


async def test_a_list_that_changed_is_read_again_and_another_is_not(storage):
    write(storage, PODMAN)
    adapter = engine(storage)
    first = await adapter.collect()
    second = await adapter.collect()
    assert second.containers[0] is first.containers[0]
    write(storage, PODMAN, {**PODMAN, "id": B})
    assert len((await adapter.collect()).containers) == 2


async def test_one_users_bad_list_is_a_problem_and_the_others_are_read(storage, tmp_path_factory):
    bad = tmp_path_factory.mktemp("bad")
    (bad / "overlay-containers").mkdir()
    (bad / "overlay-containers" / "containers.json").write_bytes(b'[{"id": 7')
    write(storage, PODMAN)
    reading = await engine(bad, storage).collect()
    assert [one.id for one in reading.containers] == [A]
    (problem,) = reading.problems
    assert problem.path == str(bad / "overlay-containers" / "containers.json")


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
async def test_any_bytes_are_a_problem_or_nothing(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("any")
    (directory / "overlay-containers").mkdir()
    (directory / "overlay-containers" / "containers.json").write_bytes(data)
    reading = await engine(directory).collect()
    assert reading.containers == ()


async def test_without_a_list_it_is_missing(tmp_path):
    with pytest.raises(Missing):
        await engine(tmp_path).collect()


def test_a_pipe_a_link_and_a_giant_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert homes.read_owned(str(tmp_path / "pipe"), os.getuid()) == b""
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        homes.read_owned(str(tmp_path / "link"), os.getuid())
    with (tmp_path / "giant").open("wb") as giant:
        giant.truncate(64 << 20)
    with pytest.raises(OSError, match="more than 32 MiB"):
        homes.read_owned(str(tmp_path / "giant"), os.getuid())


@pytest.mark.root
def test_a_file_of_somebody_else_is_not_read(tmp_path):
    path = tmp_path / "theirs"
    path.write_text("x")
    os.chown(path, 4242, 4242)
    assert homes.read_owned(str(path), 4242) == b"x"
    with pytest.raises(PermissionError, match="uid 4242"):
        homes.read_owned(str(path), 0)


def test_a_configured_storage_is_looked_in(tmp_path):
    configuration = tmp_path / "storage.conf"
    configuration.write_text('[storage]\n# graphroot = "/no"\ngraphroot = "/data/containers"\n')
    said = list(podman_storage.storages({"CONTAINERS_STORAGE_CONF": str(configuration)}))
    assert said[0] == Storage("/data/containers", os.getuid())
    assert "/var/lib/containers/storage" in [one.path for one in said]


def test_a_users_storage_is_below_their_data_directory(tmp_path):
    said = list(podman_storage.storages({"HOME": str(tmp_path), "XDG_DATA_HOME": "/data"}))
    assert Storage("/data/containers/storage", os.getuid()) in said


@pytest.fixture
def containers(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "config").write_text(
        "# made by hand\nlxc.rootfs.path = dir:/srv/web\nlxc.uts.name = web.example\n"
    )
    (tmp_path / "not-one").mkdir()
    (tmp_path / "file").write_text("")
    return tmp_path


async def test_lxc_lists_what_has_a_configuration(containers):
    (one,) = (await LxcEngine([Place(str(containers), os.getuid())]).collect()).containers
    assert (one.id, one.name, one.engine) == ("web", "web", "lxc")
    assert one.labels == {"lxc.rootfs.path": "dir:/srv/web", "lxc.uts.name": "web.example"}


async def test_a_configuration_that_cannot_be_read_costs_its_own_row(containers):
    (containers / "odd").mkdir()
    (containers / "odd" / "config").symlink_to("/etc/passwd")
    found = (await LxcEngine([Place(str(containers), os.getuid())]).collect()).containers
    assert [(one.id, one.error is None) for one in found] == [("odd", False), ("web", True)]


async def test_without_lxc_it_is_missing(tmp_path):
    with pytest.raises(Missing):
        await LxcEngine([Place(str(tmp_path / "none"), 0)]).collect()


def test_a_configured_directory_of_lxc_is_looked_in(tmp_path):
    (tmp_path / ".config" / "lxc").mkdir(parents=True)
    (tmp_path / ".config" / "lxc" / "lxc.conf").write_text("lxc.lxcpath = /data/lxc/\n")
    said = list(lxc.places({"HOME": str(tmp_path)}))
    assert Place("/data/lxc", os.getuid()) in said
    assert Place("/var/lib/lxc", 0) in said


async def test_registered_machines_that_are_containers_are_listed(tmp_path):
    (tmp_path / "web").write_text(
        'NAME=web\nSCOPE=machine-my\\\\x2dweb.scope\nSERVICE="systemd-nspawn"\n'
        "ROOT=/srv/\\303\\251\n"
        "CLASS=container\nLEADER=4242\nREALTIME=1795521600000000\n"
    )
    (tmp_path / "vm").write_text("NAME=vm\nSERVICE=libvirt-qemu\nCLASS=vm\nLEADER=4243\n")
    (tmp_path / "unit:machine-web.scope").symlink_to("web")
    (one,) = (await MachinesEngine(str(tmp_path)).collect()).containers
    assert (one.id, one.engine, one.pid) == ("web", "systemd-nspawn", 4242)
    assert one.labels == {"root": "/srv/é", "unit": "machine-my\\x2dweb.scope"}
    assert one.created_at is not None
    assert one.created_at.year == 2026


async def test_without_registrations_it_is_missing(tmp_path):
    with pytest.raises(Missing):
        await MachinesEngine(str(tmp_path / "none")).collect()


@given(st.binary(max_size=200))
async def test_any_registration_is_a_machine_or_none(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("machines")
    (directory / "x").write_bytes(data)
    assert len((await MachinesEngine(str(directory)).collect()).containers) <= 1
