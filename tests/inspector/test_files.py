"""The files of real containers as the screens read them: layers, views and copies, running and stopped."""

import asyncio
import time

import pytest

from collectors.root import Root
from inspector.control import ActionFailed, TargetExists
from inspector.controls.files import LiveFiles
from inspector.layers import report
from tests.inspector.layers.conftest import box as box  # noqa: PLC0414 - a fixture
from tests.inspector.layers.conftest import cinspect as cinspect  # noqa: PLC0414 - a fixture
from tests.live import dumped

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def no_blocking_calls_on_the_loop():
    """Allowed here: what is asked runs in threads, and the tests look at files themselves."""


@pytest.fixture
def files():
    return LiveFiles(Root())


@pytest.fixture
def container(box):
    return dumped.container(box, "box")


async def test_a_directory_tells_which_layer_has_each_name(files, container):
    found = {one.path: one for one in await files.listing(container, "/etc")}
    assert found["/etc/passwd"].supplied_by == "upper"
    assert found["/etc/issue"].supplied_by is None
    assert found["/etc/group"].supplied_by == "lower 0"
    one = await files.which(container, "/etc/passwd")
    assert [version.layer for version in one.versions] == ["upper", "lower 0"]
    with pytest.raises(ActionFailed, match=r"^box: /etc/no-such-thing"):
        await files.which(container, "/etc/no-such-thing")


async def test_a_file_is_shown_as_the_container_or_a_layer_has_it(files, container):
    seen = await files.view(container, "/tmp/made/file", layer=None, most_bytes=100)
    assert (seen.data, seen.size_bytes, seen.complete) == (b"hello\n", 6, True)
    short = await files.view(container, "/tmp/made/file", layer="upper", most_bytes=3)
    assert (short.data, short.size_bytes, short.complete) == (b"hel", 6, False)
    assert (await files.view(container, "/etc/issue", layer="0", most_bytes=9999)).complete
    for path in ("/etc/issue", "/tmp/fifo", "/tmp"):
        with pytest.raises(ActionFailed, match=f"^box:{path}: "):
            await files.view(container, path, layer=None, most_bytes=10)


async def test_a_stopped_container_s_files_are_shown_through_its_layers(files, container, box):
    box.ok("kill", "--signal", "KILL", "box")
    box.ok("wait", "box")
    stopped = dumped.container(box, "box")
    assert stopped.pid is None
    seen = await files.view(stopped, "/tmp/link", layer=None, most_bytes=100)
    assert seen.data == b"hello\n"
    lower = await files.view(stopped, "/etc/hostname", layer=None, most_bytes=4096)
    assert lower.complete
    assert "/tmp/made/file" in {one.path for one in await files.listing(stopped, "/tmp/made")}


async def test_a_copy_is_there_whole_and_nothing_is_replaced_unasked(files, container, tmp_path):
    to = tmp_path / "saved"

    async def save(path, target, *, layer=None, replace=False):
        return await files.save(container, path, str(target), layer=layer, replace=replace)

    assert await save("/tmp/made/file", to) == 6
    assert to.read_text() == "hello\n"
    to.write_text("mine")
    with pytest.raises(TargetExists):
        await save("/tmp/made/file", to)
    assert to.read_text() == "mine"
    assert await save("/tmp/made/file", to, replace=True) == 6
    assert to.read_text() == "hello\n"
    with pytest.raises(ActionFailed, match="no-such-directory"):
        await save("/tmp/made/file", tmp_path / "no-such-directory" / "name")
    with pytest.raises(ActionFailed, match="box:/etc/issue: "):
        await save("/etc/issue", tmp_path / "issue")
    assert [one.name for one in tmp_path.iterdir() if one.name not in {"root", "state"}] == [
        "saved"
    ]


async def test_a_copy_goes_through_no_link_that_stands_at_its_name(files, container, tmp_path):
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("mine")
    link.symlink_to(victim)
    with pytest.raises(TargetExists):
        await files.save(container, "/tmp/made/file", str(link), layer=None, replace=False)
    await files.save(container, "/tmp/made/file", str(link), layer=None, replace=True)
    assert victim.read_text() == "mine"
    assert not link.is_symlink()


async def test_a_read_only_session_looks_and_writes_nothing(container, tmp_path):
    files = LiveFiles(Root(), read_only=True)
    assert (await files.view(container, "/tmp/made/file", layer=None, most_bytes=9)).data
    with pytest.raises(ActionFailed, match="--read-only"):
        await files.save(container, "/tmp/made/file", str(tmp_path / "a"), layer=None, replace=True)
    assert not (tmp_path / "a").exists()


async def test_what_a_container_writes_is_told_from_the_second_walk_on(files, container, box):
    assert await files.growth(container) is None
    box.ok("exec", "box", "sh", "-c", "head -c 200000 /dev/zero > /tmp/written")
    grown = await files.growth(container)
    assert (grown.paths[0].path, grown.paths[0].written_bytes) == ("/tmp/written", 200000)
    assert "/tmp" in {one.path for one in grown.directories}


async def test_deleted_files_that_are_open_are_told(files, container):
    (one,) = [each for each in await files.deleted(container) if each.path == "/tmp/log"]
    assert one.disk_bytes > 0
    assert {holder.pid for holder in one.holders} <= set(container.pids)


async def test_a_weighing_says_how_far_it_is_and_ends_when_it_is_cancelled(files, container):
    told = []
    weighing = asyncio.ensure_future(files.weigh(container, told.append))
    async with asyncio.timeout(60):
        while len(told) < 3:
            await asyncio.sleep(0.05)
    weighing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await weighing
    ratios = [one.waste.walked_ratio for one in told]
    assert ratios == sorted(ratios)
    assert 0 < ratios[0] < ratios[-1] < 1
    await asyncio.sleep(0.5)  # what was on its way when it was cancelled
    heard, entries = len(told), told[-1].waste.entries
    await asyncio.sleep(0.5)
    assert (len(told), told[-1].waste.entries) == (heard, entries)


async def test_a_weighing_ends_within_a_moment_of_being_cancelled(files, container, monkeypatch):
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    weigh = report.weigh

    def watched(*words, **options):
        try:
            return weigh(*words, **options)
        finally:
            loop.call_soon_threadsafe(ended.set)

    monkeypatch.setattr(report, "weigh", watched)
    begun = asyncio.Event()
    weighing = asyncio.ensure_future(files.weigh(container, lambda _: begun.set()))
    async with asyncio.timeout(60):
        await begun.wait()
    began = time.monotonic()
    weighing.cancel()
    async with asyncio.timeout(10):
        await ended.wait()
    assert time.monotonic() - began < 5
