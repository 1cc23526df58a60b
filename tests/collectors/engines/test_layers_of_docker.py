"""What a container changed, as the layers collector and `docker diff` say it."""

import pytest

from collectors.kernel import layers
from collectors.root import Root
from tests import command
from tests.engines import daemons

LETTERS = {"added": "A", "deleted": "D", "modified": "C", "copied_up": "C"}
COMMAND = (
    "echo x > /new; mkdir -p /made/below; echo x > /made/below/file; echo more >> /etc/passwd; "
    "rm /bin/cat; rm -r /tmp; ln -s nowhere /link; echo done > /dev/null; > '/odd\nname'; "
    "echo end > /end; sleep 1000"
)


@pytest.fixture
def changed(docker):
    """Return the id of a container that has changed files."""
    identifier = docker(
        *("run", "--detach", "--network=none", daemons.IMAGE),
        *("busybox", "sh", "-c", COMMAND.replace("ln ", "busybox ln ")),
    )
    command.eventually(lambda: "A /end" in docker("diff", identifier).splitlines())
    yield identifier
    docker("rm", "--force", identifier)


@pytest.mark.engine
@pytest.mark.root
def test_the_changes_are_those_of_docker_diff(docker, changed):
    driver = docker.json("inspect", changed)[0]["GraphDriver"]["Data"]
    reading = layers.read(Root())
    (overlay,) = [one for one in reading.overlays if one.upperdir == driver["UpperDir"]]
    assert overlay.lowerdirs == tuple(driver["LowerDir"].split(":"))
    assert overlay.merged == driver["MergedDir"]
    whole = layers.scan(Root(), overlay)
    (within_budget,) = [one for one in reading.uppers if one.upperdir == overlay.upperdir]
    assert within_budget.complete
    assert within_budget.changes == whole.changes
    ours = {f"{LETTERS[one.kind]} {one.path}" for one in whole.changes}
    # Docker writes a name as it is, so that one with a newline takes two lines.
    theirs = set(docker("diff", changed).replace("/odd\nname", "/odd-name").splitlines())
    assert {line.replace("/odd\nname", "/odd-name") for line in ours} == theirs


@pytest.mark.engine
@pytest.mark.root
def test_its_layers_sizes_are_told_each(docker, changed):
    driver = docker.json("inspect", changed)[0]["GraphDriver"]["Data"]
    lowers = driver["LowerDir"].split(":")
    sizes = layers.layer_sizes(Root(), lowers)
    assert [one.path for one in sizes] == lowers
    # The image's layer has busybox in it, Docker's own above it next to nothing.
    assert sizes[-1].size_bytes > 500_000 > sizes[0].size_bytes
