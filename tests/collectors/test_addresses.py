"""Where engines are looked for."""

import os

import pytest

from collectors.addresses import Address, addresses
from collectors.registry import collectors, engines
from collectors.root import Root


def docker(environment, users="/nonexistent"):
    return addresses(
        "docker",
        variable="DOCKER_HOST",
        usual="/var/run/docker.sock",
        rootless="docker.sock",
        environment=environment,
        users=users,
    )


def test_the_systems_socket_comes_first():
    assert docker({}) == (Address("docker", "/var/run/docker.sock"),)


@pytest.mark.parametrize("said", ["unix:///tmp/d.sock", "/tmp/d.sock"])
def test_the_environments_socket_is_looked_at_as_well(said):
    assert docker({"DOCKER_HOST": said}) == (
        Address("docker", "/var/run/docker.sock"),
        Address("docker-env", "/tmp/d.sock"),
    )


@pytest.mark.parametrize("said", ["tcp://1.2.3.4:2375", "ssh://host", "unix://relative", "x"])
def test_an_address_that_is_no_unix_socket_is_told_as_it_is(said):
    assert docker({"DOCKER_HOST": said})[1] == Address("docker-env", said, usable=False)


def test_one_socket_by_two_ways_is_one():
    assert len(docker({"DOCKER_HOST": "unix:///var/run/docker.sock"})) == 1


def test_ones_own_runtime_directory_is_looked_at():
    assert docker({"XDG_RUNTIME_DIR": "/run/user/7/"})[1] == Address(
        "docker-rootless", "/run/user/7/docker.sock"
    )


@pytest.mark.root
def test_a_users_socket_counts_where_it_is_that_users(tmp_path):
    for uid, owner in ((1000, 1000), (1001, 1000), (1002, None)):
        directory = tmp_path / str(uid)
        directory.mkdir()
        if owner is not None:
            (directory / "docker.sock").write_text("")
            os.chown(directory / "docker.sock", owner, owner)
    (tmp_path / "systemd").mkdir()
    assert docker({}, users=str(tmp_path))[1:] == (
        Address("docker-rootless-1000", f"{tmp_path}/1000/docker.sock"),
    )


def test_every_adapter_has_a_name_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", "tcp://x:1")
    monkeypatch.setenv("CONTAINER_HOST", "unix:///tmp/p.sock")
    monkeypatch.setenv("CONTAINERD_ADDRESS", "/tmp/c.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = engines(engine_root=str(tmp_path), engine_state=str(tmp_path))
    names = [one.name for one in made]
    assert len(names) == len(set(names))
    assert {"cinspect", "docker", "docker-env", "podman", "containerd", "runc", "crun"} <= set(
        names
    )
    assert "/tmp/c.sock" in [one.address for one in made]


def test_every_collector_has_a_name_of_its_own():
    names = [one.name for one in collectors(Root())]
    assert len(names) == len(set(names)) >= 8
