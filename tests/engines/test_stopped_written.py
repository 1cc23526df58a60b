"""What `cinspect cp` puts into a container that does not run is what its engine's own `cp` puts there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import daemons, seen
from tests.engines.daemons import Engine
from tests.engines.test_podman import LIMITS
from tests.engines.test_stopped_copies import theirs

pytestmark = [pytest.mark.engine, pytest.mark.root]

MADE = "mkdir /opt /opt/there; echo 1 > /opt/file; ln -s /opt/there /opt/link; ln -s /../../.. /opt/out"
COPIES = (
    ("file", "/opt/new"),
    ("file", "/opt/there"),
    ("file", "/opt/link/"),
    ("file", "/opt/file"),
    ("tree", "/opt"),
    ("tree", "/opt/named"),
    ("tree/.", "/opt/there"),
    ("tree", "/opt/link"),
    ("file", "/opt/out"),
    ("file", "/data/of-the-volume"),
)


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue(request.param)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make a file, and a tree with a link, modes of its own, and an owner who is not root."""
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "file").write_text("from the host\n")
    (tmp_path / "tree/sub/tool").write_text("#!/bin/sh\n")
    (tmp_path / "tree/sub/tool").chmod(0o4750)
    (tmp_path / "tree/link").symlink_to("sub/tool")
    for path in (tmp_path / "file", tmp_path / "tree/sub/tool"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    os.chown(tmp_path / "file", 1234, 1234)
    return tmp_path


def ended(engine: Engine, volume: Path) -> str:
    volume.mkdir()
    limits = LIMITS if engine.command[0] == "podman" else ()
    container = engine(
        *("run", "--detach", "--network", "none", *limits, "--volume", f"{volume}:/data"),
        *(daemons.IMAGE, "sh", "-ec", MADE),
    )
    assert engine("wait", container) == "0"
    return container


def cp(
    engine: Engine, *words: str, data: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        (sys.executable, "-m", "inspector", "cp", *words),
        check=False,
        input=data or b"",
        capture_output=True,
        timeout=60,
        env={**os.environ, **seen.HIDDEN, **engine.environment},
    )


def contents(engine: Engine, container: str, path: str) -> dict[str, tuple[object, ...]]:
    """Return what its engine copies out: kind, mode and contents; times only of what was copied."""
    return {
        name: (kind, mode, inside, mtime if mtime == 1_700_000_000 else None)
        for name, (kind, mode, _, _, inside, mtime) in theirs(engine, container, path).items()
    }


def test_what_is_copied_into_a_stopped_container_is_what_its_engine_would_put_there(
    engine: Engine, source: Path
) -> None:
    one = ended(engine, source / "volume-1")
    other = ended(engine, source / "volume-2")
    for what, to in COPIES:
        engine("cp", f"{source}/{what}", f"{one}:{to}")
        done = cp(engine, f"{source}/{what}", f"{other}:{to}")
        assert done.returncode == 0, (what, to, done.stderr)
    expected = contents(engine, one, "/opt")
    print(engine.command[0], *sorted(expected))  # noqa: T201 - its own word, to be seen
    assert contents(engine, other, "/opt") == expected
    # Their own word on owners differs, from what they document too; ours are root's.
    assert {about[2:4] for about in theirs(engine, other, "/opt").values()} == {(0, 0)}
    assert sorted(engine("diff", other).split("\n")) == sorted(engine("diff", one).split("\n"))
    assert (source / "volume-2/of-the-volume").read_text() == "from the host\n"
    assert {"opt/new", "opt/named/sub/tool", "opt/there/sub", "opt/tree/link"} <= expected.keys()


def test_a_tar_stream_goes_into_a_stopped_container(engine: Engine, source: Path) -> None:
    container = ended(engine, source / "volume")
    packed = subprocess.run(
        ("tar", "c", "-C", source, "tree"), check=True, capture_output=True
    ).stdout
    done = cp(engine, "-", f"{container}:/opt/link", data=packed)
    assert done.returncode == 0, done.stderr
    assert b"copied 1 files" in done.stderr
    assert "opt/there/tree/sub/tool" in contents(engine, container, "/opt")
    before = contents(engine, container, "/opt")
    for data, to, said in (
        (packed[:700], "/opt", b"torn"),
        (packed, "/opt/none", b"no such directory"),
        (packed, "/opt/file", b"no such directory"),
    ):
        refused = cp(engine, "-", f"{container}:{to}", data=data)
        assert refused.returncode == 1
        assert said in refused.stderr
    assert contents(engine, container, "/opt") == before


def test_a_copy_that_cannot_be_is_refused_and_leaves_nothing(engine: Engine, source: Path) -> None:
    container = ended(engine, source / "volume")
    before = contents(engine, container, "/opt")
    for what, to, said in (
        ("none", "/opt", b"No such file"),
        ("tree", "/opt/file", b"it is no directory"),
        ("file", "/opt/none/", b"there is no such directory"),
        ("file", "/opt/none/deep", b"/opt/none"),
    ):
        done = cp(engine, f"{source}/{what}", f"{container}:{to}")
        assert done.returncode == 1, (what, to)
        assert said in done.stderr, (what, to, done.stderr)
    assert contents(engine, container, "/opt") == before
