"""Control as the screens have it: real containers, and what a read-only or unprivileged one refuses."""

import asyncio
import json
import os
import subprocess
import time

import pytest

from collectors import registry
from collectors.root import Root
from inspector.chain import Chain
from inspector.control import ActionFailed, StartRequest
from inspector.controls import targets
from inspector.controls.action_log import ActionLog
from inspector.controls.live import LiveControl, executable
from inspector.domains.containers.model import Container
from inspector.sampler import Sampler
from runtime.api import Runtime
from tests import traces
from tests.live import host as host_kind


@pytest.fixture(autouse=True)
def no_blocking_calls_on_the_loop():
    """Allowed here: an action blocks the loop of its own thread, which nobody else waits for."""


def container(**changes) -> Container:
    values = {
        "id": "f" * 64,
        "name": "web",
        "engine": "docker",
        "status": "running",
        "pid": 1,
        "labels": {},
        "command": (),
        "pids": (),
        "namespaces": {},
        "shared_with_host": (),
        "shared_with": {},
        "cgroups": {},
        "evidence": (),
        **dict.fromkeys(
            ("engine_namespace", "pod", "image", "image_digest", "created_at", "started_at")
        ),
        **dict.fromkeys(
            ("finished_at", "exit_code", "runtime", "shim", "rootfs", "resources", "security")
        ),
    }
    return Container(**{**values, **changes})


def control(directory, **options) -> LiveControl:
    return LiveControl(str(directory / "root"), str(directory / "state"), **options)


def actions(directory) -> list[dict]:
    return [
        json.loads(line) for line in (directory / "root/actions.ndjson").read_text().splitlines()
    ]


async def containers(directory, *, own=False) -> dict[str, Container]:
    """Every container that a frame has; `own`: of this engine alone."""
    sampler = Sampler(
        Root(),
        registry.collectors(Root()),
        registry.engines(
            engine_root=str(directory / "root"), engine_state=str(directory / "state")
        ),
    )
    frame = await asyncio.to_thread(Chain().advance, await sampler.sample({"containers"}))
    engines = {one.name: one for one in frame.engines}
    if own:
        assert engines["cinspect"].containers == 0
        return {}
    return {one.id: one for one in frame.containers}


@pytest.mark.parametrize(
    ("action", "changes", "line"),
    [
        ("freeze", {}, "cinspect freeze web"),
        ("thaw", {}, "cinspect thaw web"),
        ("signal", {}, "cinspect kill web"),
        ("remove", {}, "cinspect rm web"),
        ("exec", {}, "cinspect exec -it web"),
        ("freeze", {"name": "a b; reboot"}, f"cinspect freeze {'f' * 64}"),
        ("freeze", {"name": "-x"}, f"cinspect freeze {'f' * 64}"),
        ("freeze", {"engine": None, "id": "unshare-12"}, "cinspect freeze unshare-12"),
    ],
)
def test_the_command_line_that_does_the_same(tmp_path, action, changes, line):
    assert control(tmp_path).equivalent(action, container(**changes)) == line


async def test_a_read_only_one_refuses_every_action(tmp_path):
    refusing = control(tmp_path, read_only=True)
    web = container()
    for action in (
        refusing.start(StartRequest(command=("true",))),
        refusing.freeze(web),
        refusing.thaw(web),
        refusing.signal(web, 9),
        refusing.remove(web, force=True),
    ):
        with pytest.raises(ActionFailed, match="read-only"):
            await action
    with pytest.raises(ActionFailed, match="read-only"):
        refusing.exec_argv(web, ["sh"])
    assert not (tmp_path / "root").exists()


def test_exec_starts_this_same_cinspect_on_the_same_directories(tmp_path):
    argv = control(tmp_path).exec_argv(container(), ["sh", "-c", "x"])
    assert argv[-6:] == ("exec", "-it", "f" * 64, "sh", "-c", "x")
    assert argv[: len(executable())] == executable()
    assert str(tmp_path / "state") in argv
    done = subprocess.run([*executable(), "--version"], capture_output=True, check=False)
    assert done.stdout.startswith(b"cinspect ")


async def test_one_that_has_stopped_is_said_to(tmp_path):
    with pytest.raises(ActionFailed, match="web does not run"):
        await control(tmp_path).freeze(container(engine=None, pid=None, status="stopped"))


async def test_a_process_that_is_another_one_now_is_left_alone(tmp_path):
    stranger = container(engine=None, pid=os.getpid(), namespaces={"mnt": 1, "pid": 2})
    with pytest.raises(ActionFailed, match="is gone"):
        await control(tmp_path).signal(stranger, 9)
    assert actions(tmp_path)[-1]["error"]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("aaaa1111", ["aaaa1111"]),
        ("web", ["bbbb2222", "cccc3333"]),
        ("aaa", ["aaaa1111"]),
        ("aa", []),
    ],
)
def test_a_reference_is_an_id_a_name_or_a_beginning(reference, found):
    known = [
        container(id="aaaa1111", name="one"),
        container(id="bbbb2222", name="web"),
        container(id="cccc3333", name="web"),
    ]
    assert [one.id for one in targets.match(reference, known)] == found


@pytest.fixture
def acting(tmp_path):
    yield control(tmp_path)
    engine = Runtime(root=str(tmp_path / "root"), state=str(tmp_path / "state"))

    async def clean() -> None:
        for one in await engine.containers():
            await engine.remove(one.id, force=True)
        await engine.close()

    with traces.none_left(tmp_path.name):
        asyncio.run(clean())


@pytest.mark.root
async def test_what_the_screens_can_do_to_a_container(tmp_path, acting):
    script = "echo x >> /etc/motd; rm -f /etc/issue; sleep 100"
    identifier = await acting.start(
        StartRequest(
            name="acted",
            command=("sh", "-c", script),
            memory_bytes=64 << 20 if "memory" in host_kind.controllers() else None,
        )
    )
    await asyncio.sleep(0.5)
    found = (await containers(tmp_path))[identifier]
    assert (found.name, found.status, found.engine) == ("acted", "running", "cinspect")
    await acting.freeze(found)
    assert (await containers(tmp_path))[identifier].status == "paused"
    await acting.thaw(found)
    report = await acting.layers((await containers(tmp_path))[identifier])
    kinds = {change.path.strip("/"): change.kind for change in report.changes}
    assert kinds["etc/motd"] == "modified"
    assert kinds["etc/issue"] == "deleted"
    assert report.complete
    with pytest.raises(ActionFailed, match="running"):
        await acting.remove(found, force=False)
    await acting.signal(found, 9)
    async with asyncio.timeout(20):
        while (found := (await containers(tmp_path))[identifier]).status != "stopped":
            await asyncio.sleep(0.1)
    assert found.exit_code == 137
    await acting.remove(found, force=False)
    assert identifier not in await containers(tmp_path)
    done = [(entry["action"], bool(entry["error"])) for entry in actions(tmp_path)]
    assert done == [
        ("run", False), ("freeze", False), ("thaw", False), ("rm", True), ("kill -s 9", False), ("rm", False),
    ]  # fmt: skip


@pytest.mark.root
async def test_a_start_that_fails_leaves_nothing(tmp_path, acting):
    with pytest.raises(ActionFailed, match="no-such-command-1"):
        await acting.start(StartRequest(command=("no-such-command-1",)))
    assert await containers(tmp_path, own=True) == {}
    assert "no-such-command-1" in actions(tmp_path)[-1]["error"]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    log = ActionLog(str(tmp_path / "file" / "actions.ndjson"))
    log.record("freeze", "web", engine=None, how=None, error=None)
    assert "not written" in caplog.text


def test_a_log_that_grew_large_begins_anew(tmp_path):
    path = tmp_path / "actions.ndjson"
    path.write_bytes(b"x" * (8 << 20))
    log = ActionLog(str(path))
    log.record("freeze", "web", engine=None, how=None, error=None)
    log.record("thaw", "web", engine=None, how=None, error=None)
    assert (tmp_path / "actions.ndjson.1").stat().st_size > 8 << 20
    assert json.loads(path.read_text())["action"] == "thaw"
    assert path.stat().st_mode & 0o077 == 0
    assert time.time() - path.stat().st_mtime < 60
