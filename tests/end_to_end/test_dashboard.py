"""The dashboard as a person uses it: in a real terminal, with the keyboard, on a real container."""

from collections.abc import Iterator

import pytest

from tests import command, requirements
from tests.end_to_end import terminal
from tests.end_to_end.terminal import NARROW, WIDE, Terminal
from tests.live.engine import Engine

pytestmark = pytest.mark.root

SCREENS = {"1": "Containers", "2": "Namespaces", "3": "Layers", "4": "Cgroups", "5": "Events"}


@pytest.fixture
def container(engine: Engine) -> Iterator[tuple[str, str]]:
    """Return the id and the name of a running container with a file of its own."""
    script = "echo x > /etc/of-the-container; exec sleep 1000"
    # The table is sorted by name: this is the first one, which has the cursor.
    with engine.running("sh", "-c", script, prefix="0-first") as identifier:
        yield identifier, engine.container(identifier)["name"]


@pytest.fixture(params=[NARROW, WIDE], ids=["80x24", "160x48"])
def dashboard(
    request: pytest.FixtureRequest, engine: Engine, container: tuple[str, str]
) -> Iterator[Terminal]:
    """Return a terminal with the dashboard in it, and the cursor on the container."""
    requirements.commands("tmux")
    with terminal.terminal(request.param) as one:
        one.type(f"{command.CINSPECT} {' '.join(engine.options)}")
        one.wait(container[1])
        # Others may run on this host: what these tests do, they do to this one.
        one.press("/")
        one.wait("/regex/")
        one.type(container[1])
        one.wait(f"cinspect dump --container {container[1]}")
        yield one


def test_the_container_is_on_every_screen(dashboard: Terminal, container: tuple[str, str]) -> None:
    for key, title in SCREENS.items():
        dashboard.press(key)
        dashboard.wait(lambda text, title=title: title in text and container[1] in text)


def test_leaving_restores_the_terminal(dashboard: Terminal) -> None:
    assert dashboard.on_alternate_screen()
    dashboard.press("q")
    dashboard.wait(lambda text: text.rstrip().endswith("ready>"))
    assert not dashboard.on_alternate_screen()
    # A mode left on would show what the mouse sends, or hide what is typed.
    dashboard.type("echo visible-$((1 + 1))")
    text = dashboard.wait("visible-2")
    assert "echo visible-$((1 + 1))" in text


def test_freeze_asks_and_freezes_and_thaw_lets_go(
    dashboard: Terminal, engine: Engine, container: tuple[str, str]
) -> None:
    dashboard.press("f")
    dashboard.wait(f"cinspect freeze {container[1]}")
    assert engine.container(container[0])["status"] == "running"
    confirm(dashboard)
    command.eventually(lambda: engine.container(container[0])["status"] == "paused")
    dashboard.wait("❄")
    dashboard.press("f")
    command.eventually(lambda: thawed(dashboard, engine, container[0]))


def confirm(one: Terminal) -> None:
    """Say yes in a dialog, whose focus is on Cancel."""
    one.press("Tab")
    one.press("Enter")


def thawed(one: Terminal, engine: Engine, identifier: str) -> bool:
    """Tell whether it runs again; say yes if the dashboard asks."""
    if "cinspect thaw" in one.screen():
        confirm(one)
    return bool(engine.container(identifier)["status"] == "running")


def test_a_shell_inside_takes_the_terminal_and_gives_it_back(
    dashboard: Terminal, container: tuple[str, str]
) -> None:
    dashboard.press("x")
    dashboard.wait("Run a command in")
    dashboard.press("Enter")
    dashboard.wait(lambda text: text.rstrip().endswith("#"))
    assert not dashboard.on_alternate_screen()
    dashboard.type("cat /etc/of-the-container; echo pid-$$-$(cat /proc/1/comm)")
    dashboard.wait("-sleep")
    dashboard.type("exit")
    dashboard.wait(lambda text: "Containers" in text and container[1] in text)


def test_kill_asks_and_ends_it(
    dashboard: Terminal, engine: Engine, container: tuple[str, str]
) -> None:
    dashboard.press("K")
    dashboard.wait("cinspect kill")
    assert engine.container(container[0])["status"] == "running"
    confirm(dashboard)
    command.eventually(lambda: engine.container(container[0])["status"] == "stopped")
