"""Files of a real container in a real terminal: shown, saved, never over another one without a question."""

from pathlib import Path

import pytest

from tests import command
from tests.end_to_end.terminal import Terminal
from tests.end_to_end.test_dashboard import confirm
from tests.end_to_end.test_dashboard import container as container  # noqa: PLC0414 - a fixture
from tests.end_to_end.test_dashboard import dashboard as dashboard  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.root


def on_the_file(one: Terminal) -> None:
    """Put the cursor on the file that the container made, in the list of its changes."""
    one.press("3")
    one.wait("what the container sees")
    one.press("Tab")
    one.press("/")
    one.wait("/regex/")
    one.tmux("send-keys", "-t", "0", "-l", "of-the-container")
    one.wait(lambda text: "/etc/of-the-container" in text and "no layer below has it" in text)
    one.press("Enter")


def save(one: Terminal, to: Path) -> None:
    """Ask for a copy at a path of the host."""
    one.press("w")
    one.wait("Save /etc/of-the-container")
    one.press("C-a", "C-k")
    one.wait("no path: say where")
    one.tmux("send-keys", "-t", "0", "-l", str(to))
    one.wait(to.name)
    one.press("Enter")


def test_a_file_is_viewed_and_saved(dashboard: Terminal, tmp_path: Path) -> None:
    to = tmp_path / "saved"
    on_the_file(dashboard)
    dashboard.press("v")
    dashboard.wait(lambda text: "1  x" in text and "text / bytes" in text)
    dashboard.press("x")
    dashboard.wait("00000000  78 0a")
    dashboard.press("Escape")
    dashboard.wait(lambda text: "text / bytes" not in text)
    save(dashboard, to)
    command.eventually(to.exists)
    assert to.read_text() == "x\n"
    to.write_text("mine")
    save(dashboard, to)
    dashboard.wait("Replace ")
    dashboard.press("Enter")
    dashboard.wait(lambda text: "Replace " not in text)
    assert to.read_text() == "mine"
    save(dashboard, to)
    dashboard.wait("Replace ")
    confirm(dashboard)
    command.eventually(lambda: to.read_text() == "x\n")
    assert [one.name for one in tmp_path.iterdir()] == ["saved"]


def test_the_tree_of_files_is_walked_and_says_where_each_is_from(dashboard: Terminal) -> None:
    dashboard.press("3")
    dashboard.wait("what the container sees")
    dashboard.press("t")
    dashboard.press("Tab")
    dashboard.wait("▸ etc/")
    dashboard.press("/")
    dashboard.wait("/regex/")
    dashboard.tmux("send-keys", "-t", "0", "-l", "path=/etc")
    dashboard.wait(lambda text: "▸ usr/" not in text and "▸ etc/" in text)
    dashboard.press("Enter", "Right")
    dashboard.wait("▾ etc/")
    dashboard.press("Escape")
    dashboard.wait(lambda text: "/regex/" not in text)
    dashboard.press("/")
    dashboard.wait("/regex/")
    dashboard.tmux("send-keys", "-t", "0", "-l", "of-the-container")
    text = dashboard.wait(lambda text: "─ of-the-container" in text)
    assert "upper" in next(line for line in text.splitlines() if "─ of-the-container" in line)
