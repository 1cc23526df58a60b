"""The lists of the layers screen: files of all layers, waste, writes, deleted files, mounts; view and save."""

import asyncio

import pytest
from textual.events import Key

from inspector.control import ActionFailed
from screens.dialogs import view
from tests.screens import frames
from tests.screens.canned_files import CONTENTS
from tests.screens.driving import Driven, running

WEB = "01" * 32
SIZE = (160, 44)


async def bring(driven: Driven, key: str) -> None:
    """Bring a list to the front, with the keyboard in it."""
    screen = driven.app.screen
    while screen.views.current.key != key:
        await driven.press("t")
    screen.views.front.focus()
    await driven.pilot.pause()
    await driven.pilot.pause(0.05)


async def on(driven: Driven, key: str) -> None:
    """Put the cursor of the list in front on an item that is, or will be, there."""
    front = driven.app.screen.views.front
    await driven.until(lambda: front.select(key))
    await driven.pilot.pause()


async def opened(driven: Driven, *directories: str) -> None:
    """Open directories of the tree of files."""
    await bring(driven, "files")
    for directory in directories:
        await on(driven, directory)
        await driven.press("right")


async def test_the_tree_of_files_tells_each_file_s_layer_and_reads_what_is_opened_alone() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven)
        await driven.until(lambda: "▸ etc/" in driven.text)
        asked = [what for what in driven.control.done if what[0] == "listing"]
        assert asked == [("listing", "web", "/")]
        await on(driven, "/etc")
        await driven.press("right")
        await driven.until(lambda: "passwd" in driven.text)
        line = driven.line("passwd")
        assert "upper" in line
        assert "2, 3" in line
        assert "deleted" in driven.line("motd")
        assert ("listing", "web", "/etc/ssl") not in driven.control.done


async def test_a_file_under_the_cursor_tells_what_supplies_it_and_when_it_was_copied_up() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven, "/etc")
        await on(driven, "/etc/passwd")
        assert "supplied by upper, copied up 2026-03-02 17:01:12 UTC" in driven.text
        assert "hidden: replaced by lower 2" in driven.line("lower 3   -rw")
        await on(driven, "/etc/motd")
        assert "deleted: nothing is seen" in driven.text
        assert "whiteout: it hides" in driven.text


async def test_a_directory_closes_with_what_is_below_it_and_the_arrow_leads_up() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven, "/etc", "/etc/ssl")
        await driven.until(lambda: "openssl.cnf" in driven.text)
        await on(driven, "/etc/ssl/openssl.cnf")
        await driven.press("left")
        assert driven.app.screen.views.path() == "/etc/ssl"
        await on(driven, "/etc")
        await driven.press("left")
        assert "openssl.cnf" not in driven.text
        assert "passwd" not in driven.text
        await driven.press("enter")
        await driven.until(lambda: "openssl.cnf" in driven.text)


async def test_a_directory_that_cannot_be_read_is_said_and_stays_closed() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven, "/usr")
        await driven.until(lambda: any("permission denied" in one for one in driven.toasts))
        assert "▸ usr/" in driven.text


async def test_on_a_narrow_screen_the_list_in_use_has_the_room_of_the_stack() -> None:
    async with running(size=(80, 24), keys=("j", "l", "t")) as driven:
        assert "what the container sees" in driven.text
        await driven.press("tab")
        assert driven.app.screen.views.front.has_focus
        assert "what the container sees" not in driven.text
        await driven.press("tab")
        assert driven.app.screen.stack.has_focus
        assert "what the container sees" in driven.text


async def test_a_filter_on_the_tree_keeps_what_is_above() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven, "/etc", "/etc/ssl")
        await driven.until(lambda: "openssl.cnf" in driven.text)
        await driven.press("slash")
        await driven.type("openssl")
        paths = [node.item.path for node in driven.app.screen.views.front.items]
        assert paths == ["/etc", "/etc/ssl", "/etc/ssl/openssl.cnf"]


async def test_a_frame_makes_the_tree_of_files_anew_only_when_something_was_read(
    monkeypatch,
) -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven, "/etc")
        await driven.until(lambda: "passwd" in driven.text)
        made = []
        front = driven.app.screen.views.front
        monkeypatch.setattr(front, "show", lambda *_: made.append(1))
        await driven.show(frames.frame(2), frames.frame(3))
        assert made == []
        await driven.press("r")
        await driven.until(lambda: made)


async def test_weighing_says_how_far_it_is_and_then_what_is_wasted() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        driven.control.files.held = asyncio.Event()
        await driven.press("S")
        await driven.until(lambda: "weighing: 34 %" in driven.text)
        assert "so far" in driven.text
        driven.control.files.held.set()
        await driven.until(lambda: "all layers are weighed: 3,412 entries" in driven.text)
        assert "efficiency 93.5 %: 68.7M visible, 4.77M wasted" in driven.text
        assert "8.58M" in driven.line("lower 0"), "the size is what was weighed"
        await bring(driven, "wasted")
        line = driven.line("/usr/lib/libssl.so.3")
        assert "replaced" in line
        assert "lower 1" in line
        assert "/var/cache/ (41 files)" in driven.text


@pytest.mark.parametrize("key", ["escape", "S"])
async def test_weighing_can_be_stopped(key: str) -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        driven.control.files.held = asyncio.Event()
        await driven.press("S")
        await driven.until(lambda: "weighing: 34 %" in driven.text)
        await driven.press(key)
        await driven.until(lambda: driven.control.files.cancelled)
        assert "stopped" in driven.line("◂ web")
        assert "weighing" not in driven.text
        assert driven.app.screen.NAME == "layers", "Esc stopped it, and did not leave"


async def test_a_weighing_that_fails_says_why(monkeypatch) -> None:
    async def failing(_container):
        raise ActionFailed("cannot walk: not permitted")

    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        monkeypatch.setattr(driven.control, "layers", failing)
        await driven.press("S")
        await driven.until(lambda: "cannot walk: not permitted" in driven.text)


async def test_the_formula_is_in_the_help() -> None:
    async with running(size=SIZE, keys=("j", "l", "question_mark", "pagedown")) as driven:
        assert "visible bytes / (visible + hidden bytes)" in driven.text


async def rested(driven: Driven) -> int:
    """Return how often it was walked, when that has come to an end."""
    walks = -1
    for _ in range(20):
        if walks == driven.control.files.walks:
            return walks
        walks = driven.control.files.walks
        await driven.pilot.pause(0.2)
    raise AssertionError("it walks on and on")


async def test_what_is_written_most_is_told_while_the_list_is_in_front(monkeypatch) -> None:
    monkeypatch.setattr("screens.layers.inquiry._SHORTEST", 0.01)
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await bring(driven, "writes")
        await driven.until(lambda: "/srv/app/cache.db" in driven.text)
        assert "grew" in driven.line("/srv/app/cache.db")
        assert "2 below" in driven.line("/srv/app/ ")
        await driven.press("t")
        await rested(driven)


async def test_no_walk_goes_on_behind_another_screen(monkeypatch) -> None:
    monkeypatch.setattr("screens.layers.inquiry._SHORTEST", 0.01)
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await bring(driven, "writes")
        await driven.until(lambda: driven.control.files.walks > 3)
        await driven.press("1")
        walks = await rested(driven)
        await driven.press("3")
        await driven.until(lambda: driven.control.files.walks > walks + 2)


async def test_the_upper_layer_s_growth_is_a_line_over_time() -> None:
    steps = [frames.frame(step) for step in range(20)]
    async with running(
        *steps,
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        line = driven.line("upper 5")
        assert "▁" in line
        assert "█" in line


async def test_deleted_files_that_are_open_name_who_has_them() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await bring(driven, "deleted")
        await driven.until(lambda: "/var/log/access.log" in driven.text)
        line = driven.line("/var/log/access.log")
        assert "66.8M" in line
        assert "(fd 7)" in line
        assert "70,000,000 bytes until the last one closes it" in driven.text


async def test_mounts_are_a_tree_with_kind_propagation_and_limit() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await bring(driven, "mounts")
        line = driven.line("/data")
        for part in ("volume", "slave", "25.0G of  256G", "/srv/volumes/"):
            assert part in line
        assert "64.0M" in driven.line("/tmp")
        assert "62.0M of 64.0M" in driven.line("/tmp")
        await on(driven, "12")
        assert "/srv/volumes/data (ext4" in driven.text
        assert "25.0G of 256G used (10%), 200G free, 1 more container in it" in driven.text
        assert "what is mounted outside shows here, not the other way" in driven.text


async def test_a_file_is_viewed_with_its_escapes_written_out() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven, "/etc")
        await on(driven, "/etc/passwd")
        await driven.press("v")
        await driven.until(lambda: "Which /etc/passwd" in driven.text)
        assert "what it sees" in driven.text
        assert "lower 3" in driven.text
        await driven.press("enter")
        await driven.until(lambda: "web:\\x1b[2J:1000::" in driven.text)
        assert ("view", "web", "/etc/passwd", None) in driven.control.done
        await driven.press("x")
        assert "00000000  72 6f 6f 74" in driven.text
        await driven.press("escape")
        assert driven.app.screen.NAME == "layers"


async def test_one_layer_s_version_is_viewed() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven, "/etc")
        await on(driven, "/etc/passwd")
        await driven.press("v")
        await driven.until(lambda: "Which /etc/passwd" in driven.text)
        await driven.press("G", "enter")
        await driven.until(lambda: "of layer 3" in driven.text)
        assert ("view", "web", "/etc/passwd", "3") in driven.control.done


async def test_bytes_that_are_no_text_are_shown_as_bytes() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven, "/etc", "/etc/ssl")
        await on(driven, "/etc/ssl/openssl.cnf")
        await driven.press("enter")
        await driven.until(lambda: "00000000  7f 45 4c 46 00 00 01 00" in driven.text)
        assert "·ELF" in driven.text


async def test_a_file_is_saved_where_one_says() -> None:
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven, "/etc", "/etc/ssl")
        await on(driven, "/etc/ssl/openssl.cnf")
        await driven.press("w")
        await driven.until(
            lambda: "cinspect cp web:/etc/ssl/openssl.cnf ./openssl.cnf" in driven.text
        )
        await driven.press("enter")
        await driven.until(lambda: driven.control.files.saved)
        assert driven.control.files.saved == [
            ("web", "/etc/ssl/openssl.cnf", "./openssl.cnf", None, False)
        ]
        await driven.until(lambda: any("saved" in one for one in driven.toasts))


async def test_a_file_that_is_there_is_replaced_only_after_a_question_with_cancel_in_front() -> (
    None
):
    async with running(
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        files = driven.control.files
        files.there = {"./openssl.cnf"}
        await opened(driven, "/etc", "/etc/ssl")
        await on(driven, "/etc/ssl/openssl.cnf")
        for answer, kept in ((("enter",), 0), (("tab", "enter"), 1)):
            await driven.press("w")
            await driven.until(lambda: "Save /etc/ssl" in driven.text)
            await driven.press("enter")
            await driven.until(lambda: "Replace ./openssl.cnf?" in driven.text)
            assert driven.app.focused.id == "cancel"
            await driven.press(*answer)
            await driven.pilot.pause(0.05)
            assert len(files.saved) == kept
        assert files.saved[0][-1] is True


async def test_a_read_only_session_views_and_does_not_save() -> None:
    async with running(
        size=SIZE,
        read_only=True,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        await opened(driven, "/etc", "/etc/ssl")
        await on(driven, "/etc/ssl/openssl.cnf")
        await driven.press("w")
        await driven.pilot.pause(0.05)
        assert driven.app.screen.NAME == "layers"
        await driven.press("v")
        await driven.until(lambda: "·ELF" in driven.text)
        assert " save" not in driven.text
        await driven.press("w")
        assert "Save /etc" not in driven.text
        assert driven.control.files.saved == []


async def test_hostile_names_and_contents_reach_no_terminal(monkeypatch) -> None:
    name = "/etc/\x1b]0;owned\x07\u202e"
    monkeypatch.setitem(CONTENTS, name, b"\x1b[31mred\xff\xfe\x07\n" + "\u202eevil".encode())
    whole = frames.frame(1)
    async with running(
        whole,
        size=SIZE,
        keys=(
            "j",
            "l",
        ),
    ) as driven:
        from tests.screens import canned_files

        monkeypatch.setitem(
            canned_files.LISTINGS,
            "/etc",
            (canned_files.entry(name, canned_files.version("upper", name)),),
        )
        await opened(driven, "/etc")
        await on(driven, name)
        await driven.press("v")
        await driven.until(lambda: "red" in driven.text)
        for char in "\x1b\x07\u202e":
            assert char not in driven.text
        await driven.press("w")
        await driven.until(lambda: "Save" in driven.text)
        for char in "\x1b\x07\u202e":
            assert char not in driven.text


@pytest.mark.parametrize(
    ("data", "binary"),
    [
        (b"", False),
        (b"plain\ttext\r\n", False),
        ("grün\n".encode() * 50, False),
        (b"\x1b[31mred\x1b[0m\n", False),
        (b"a\0b", True),
        (bytes(range(128, 256)) * 4, True),
        (b"\x01\x02\x03\x04 and more", True),
    ],
)
def test_what_is_no_text_is_told_by_its_bytes(data: bytes, *, binary: bool) -> None:
    assert view.is_binary(data) is binary


def test_a_long_line_goes_on_below_without_a_number_and_nothing_is_lost() -> None:
    data = ("x" * 50 + "\n" + "日本" * 20 + "\n").encode()
    lines = list(view.text_lines(data, 24))
    assert [line[0][0].strip() for line in lines if line[0][0].strip()] == ["1", "2"]
    assert "".join(line[1][0] for line in lines) == "x" * 50 + "日本" * 20
    assert all(len(line[0][0]) == 5 for line in lines)


@pytest.mark.parametrize("size", [(80, 24), SIZE])
async def test_what_is_typed_in_the_same_instant_as_tab_and_the_slash_is_the_filter(size) -> None:
    async with running(size=size, keys=("j", "l")) as driven:
        for key in ("tab", "slash", "o", "f"):
            driven.app.post_message(Key(key, {"tab": None, "slash": "/"}.get(key, key)))
        await driven.until(lambda: driven.app.screen.query_one("FilterBar Input").value == "of")
        assert driven.control.done == []
