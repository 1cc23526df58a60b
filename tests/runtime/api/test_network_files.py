"""/etc/hosts, /etc/hostname and /etc/resolv.conf: a container's own, wherever its root's links lead."""

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import FailedPrecondition
from runtime.tasks import network_files
from runtime.types import Change, ContainerOptions, Volume
from tests import requirements

NAMES = ("hosts", "hostname", "resolv.conf")


def places(rootfs: Path, **options) -> dict[str, str]:
    """Which file of the container's directory is to be where in a root."""
    given_options = ContainerOptions(rootfs=str(rootfs), command=("true",), **options)
    made = network_files.mounts(given_options, directory="/own", rootfs=str(rootfs))
    return {os.path.basename(each["source"]): each["destination"] for each in made}


PLAIN = {name: f"/etc/{name}" for name in NAMES}


def test_they_have_their_places_also_in_an_empty_root(tmp_path):
    assert places(tmp_path) == PLAIN


@pytest.mark.parametrize(
    ("link", "place"),
    [
        ("../run/systemd/stub.conf", "/run/systemd/stub.conf"),
        ("/run/stub.conf", "/run/stub.conf"),
        ("/../../../../run/stub.conf", "/run/stub.conf"),
        ("../../../../../../tmp/out", "/tmp/out"),
        ("./././x", "/etc/x"),
        ("resolv.conf", None),
        ("/proc/sys/kernel/core_pattern", None),
        ("../dev/null", None),
        (".", None),
        ("/", None),
    ],
)
def test_a_link_is_followed_inside_and_to_files_only(tmp_path, link, place):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").symlink_to(link)
    assert places(tmp_path).get("resolv.conf") == place


def test_a_link_in_place_of_etc_is_followed(tmp_path):
    (tmp_path / "etc").symlink_to("usr/etc")
    assert places(tmp_path)["hosts"] == "/usr/etc/hosts"


def test_what_is_no_file_is_left_alone(tmp_path):
    (tmp_path / "etc/hosts").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/hostname")
    assert places(tmp_path) == {"resolv.conf": "/etc/resolv.conf"}
    shutil.rmtree(tmp_path / "etc")
    (tmp_path / "etc").touch()
    assert places(tmp_path) == {}


@given(
    link=st.lists(st.sampled_from(["", ".", "..", "a", "b", "etc", "hosts", "loop"]), max_size=9)
)
def test_whatever_a_link_says_its_place_is_inside_and_has_no_link(link, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    (root / "etc/a").mkdir(parents=True)
    (root / "loop").symlink_to("etc/../loop/a")
    (root / "b").symlink_to("../../etc/a")
    (root / "etc/hosts").symlink_to("/".join(link) or "/")
    place = places(root).get("hosts")
    if place is not None:
        assert ".." not in place.split("/")
        current = root
        for name in place.split("/"):
            current /= name
            assert not current.is_symlink()


@pytest.mark.parametrize("target", ["/etc/hosts", "/etc/../etc//hosts", "/etc", "/run"])
def test_a_volume_of_the_user_s_wins(tmp_path, target):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").symlink_to("/run/hosts")
    assert "hosts" not in places(tmp_path, volumes=(Volume(source="/", target=target),))


def test_name_servers_of_the_host_s_loopback_are_in_its_network_alone():
    text = (
        b"# x\nnameserver 127.0.0.53\nnameserver 10.0.0.1\n nameserver ::1\nsearch a\nnameserver\n"
    )
    options = ContainerOptions(image="@host", command=("true",))
    shown = network_files.resolv_conf(options, text)
    assert shown == b"# x\nnameserver 10.0.0.1\nsearch a\nnameserver\n"
    in_host_s = ContainerOptions(image="@host", command=("true",), network="host")
    assert network_files.resolv_conf(in_host_s, text) == text


def test_of_changes_those_are_left_out_that_are_only_places_of_these_files(tmp_path):
    directory, upper = tmp_path / "own", tmp_path / "upper"
    (upper / "etc").mkdir(parents=True)
    (upper / "etc/hosts").touch()
    (upper / "etc/hostname").write_text("written by copying into the container")
    directory.mkdir()
    spec = directory / "config.json"
    entries = [
        {"destination": f"/etc/{name}", "source": f"{directory}/{name}"} for name in NAMES[:2]
    ]
    spec.write_text(json.dumps({"mounts": entries}))

    def told(*changes: Change) -> tuple[Change, ...]:
        return network_files.without(changes, spec_path=str(spec), upperdir=str(upper))

    etc, ours = Change("/etc", "C"), Change("/etc/hosts", "A")
    other, written = Change("/etc/x", "A"), Change("/etc/hostname", "A")
    assert told(etc, ours) == ()
    assert told(etc, ours, other) == (etc, other)
    assert told(etc, written, ours) == (etc, written)
    assert told(etc) == (etc,)
    assert told(Change("/etc-x", "C"), etc, ours) == (Change("/etc-x", "C"),)


async def shown(engine, *command, **more):
    """What a container writes, run to its end once more if it is there already."""
    if isinstance(command[0], str):
        given_options = ContainerOptions(**({"image": "@host"} | more), command=command)
        container = await engine.create(given_options)
    else:
        (container,) = command
    await engine.start(container.id)
    await engine.wait(container.id)
    text = b"".join([line.data async for line in engine.logs(container.id)])
    return container, text.decode()


@pytest.mark.root
async def test_a_container_has_names_and_hosts_of_its_own(engine, place):
    script = "cat /etc/hostname; grep -w box /etc/hosts; stat -c %a:%u /etc/hosts /etc/resolv.conf"
    container, text = await shown(engine, "sh", "-c", script, hostname="box")
    assert text.split() == ["box", "127.0.0.1", "box", "644:0", "644:0"]
    directory = os.path.dirname(container.log_path)
    assert {"hosts", "hostname", "resolv.conf"} <= set(os.listdir(directory))
    await engine.remove(container.id)
    assert not os.path.exists(directory)


@pytest.mark.root
async def test_what_a_container_writes_into_its_hosts_is_its_own_and_stays(engine):
    with open("/etc/hosts", "rb") as file:
        before = file.read()
    script = "grep -c mine /etc/hosts; echo 10.0.0.1 mine >> /etc/hosts"
    container, _ = await shown(engine, "sh", "-c", script)
    _, text = await shown(engine, container)
    assert text.split() == ["0", "1"]
    assert await engine.diff(container.id) == ()
    with open("/etc/hosts", "rb") as file:
        assert file.read() == before


@pytest.mark.root
async def test_a_root_that_is_read_only_has_them_read_only(engine):
    script = "echo x >> /etc/hosts || cat /etc/hostname"
    _, text = await shown(engine, "sh", "-c", script, read_only=True, hostname="box")
    assert text.split()[-1] == "box"


@pytest.mark.root
async def test_root_of_a_user_namespace_owns_them(engine):
    try:
        _, text = await shown(engine, "sh", "-c", "stat -c %u /etc/hosts", userns="auto")
    except FailedPrecondition as error:
        if "cannot map ids" in str(error):
            requirements.absent_here(str(error))
        raise
    assert text == "0\n"


@pytest.mark.root
async def test_a_root_whose_hosts_is_a_link_outside_has_them_inside(engine, place):
    root = f"{place}/linked"
    os.makedirs(f"{root}/bin")
    os.mkdir(f"{root}/etc")
    shutil.copy("/bin/busybox", f"{root}/bin/sh")
    outside = f"{place}/outside"
    os.symlink(f"/../../../..{outside}", f"{root}/etc/hosts")
    script = "while read a; do echo $a; done < /etc/hosts"
    container, text = await shown(engine, "/bin/sh", "-c", script, image=None, rootfs=root)
    assert "localhost" in text
    assert not os.path.exists(outside)
    told = {change.path for change in await engine.diff(container.id)}
    assert told == {"/dev", "/proc", "/sys"}
    assert os.listdir(f"{root}/etc") == ["hosts"]


@pytest.mark.root
async def test_a_volume_on_hosts_is_what_is_shown(engine, place):
    with open(f"{place}/mine", "w") as file:
        file.write("theirs\n")
    volume = Volume(source=f"{place}/mine", target="/etc/hosts")
    _, text = await shown(engine, "cat", "/etc/hosts", volumes=(volume,))
    assert text == "theirs\n"
