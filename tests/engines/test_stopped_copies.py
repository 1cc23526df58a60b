"""What `cinspect cp` takes out of a container that does not run is what its engine's own `cp` takes."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping

import pytest

from tests.engines import daemons, seen
from tests.engines.daemons import Engine
from tests.engines.test_podman import LIMITS

pytestmark = [pytest.mark.engine, pytest.mark.root]

PAST = """
    mkdir /etc/made; echo new > /etc/made/file; echo 'app:x:5:6::/:/bin/sh' >> /etc/passwd
    rm /bin/head; rm -r /opt/gone; rm -r /opt/again; mkdir /opt/again; echo 1 > /opt/again/new
    chmod 4711 /opt/kept; ln -s /etc/made /opt/link; echo done > /opt/kept-too
"""
"""Copied up, deleted, an opaque directory, a link, a mode that only changed."""
MOUNTED = frozenset({"etc/hosts", "etc/hostname", "etc/resolv.conf"})
"""What the engine mounts on files when the container runs: no layer has them."""


def prepared(engine: Engine, *limits: str) -> str:
    """Return the id of a container that has a past in two layers, and ended."""
    first = engine(
        *("run", "--detach", "--network", "none", *limits, daemons.IMAGE, "sh", "-c"),
        "mkdir -p /opt/gone /opt/again; echo a > /opt/gone/a; echo b > /opt/again/old; echo c > /opt/kept",
    )
    engine("wait", first)
    engine("commit", first, "cinspect-past:1")
    second = engine(
        *("run", "--detach", "--network", "none", *limits, "cinspect-past:1", "sh", "-ec", PAST)
    )
    assert engine("wait", second) == "0"
    engine("rm", first)
    return second


def members(data: bytes) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as stream:
        for one in stream:
            body = stream.extractfile(one) if one.isreg() else None
            inside = body.read() if body else one.linkname
            found[one.name.rstrip("/")] = (
                *(one.type, one.mode & 0o7777, one.uid, one.gid),
                *(inside, one.mtime),
            )
    return {name: about for name, about in found.items() if name not in MOUNTED}


def theirs(engine: Engine, container: str, path: str) -> dict[str, tuple[object, ...]]:
    command = (*engine.command, "cp", f"{container}:{path}", "-")
    return members(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)


def ours(
    environment: Mapping[str, str], container: str, path: str
) -> dict[str, tuple[object, ...]]:
    command = (sys.executable, "-m", "inspector", "cp", "-q", f"{container}:{path}", "-")
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        timeout=60,
        env={**os.environ, **seen.HIDDEN, **environment},
    )
    assert done.returncode == 0, done.stderr
    return members(done.stdout)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_stopped_containers_tree_comes_out_as_its_engine_merges_it(
    name: str, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue(name)
    container = prepared(engine, *(LIMITS if name == "podman" else ()))
    for path in ("/opt", "/etc", "/opt/again", "/opt/kept", "/opt/link"):
        if (name, path) == ("podman", "/opt/link"):
            continue  # it follows the link, as nobody asked
        found = ours(engine.environment, container, path)
        expected = {
            name: (*about, pytest.approx(mtime, abs=1))  # some round it
            for name, (*about, mtime) in theirs(engine, container, path).items()
        }
        assert found == expected, path
    opt = ours(engine.environment, container, "/opt")
    assert set(opt) == {
        *("opt", "opt/again", "opt/again/new", "opt/kept", "opt/kept-too", "opt/link"),
    }
    assert opt["opt/kept"][1] == 0o4711
