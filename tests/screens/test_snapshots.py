"""What each screen looks like, as text, beside the last accepted look of it.

Set CINSPECT_UPDATE_SNAPSHOTS=1 to accept what is drawn now; then read the difference before committing it.
"""

import os
from pathlib import Path

import pytest

from tests.screens import frames
from tests.screens.driving import running

HERE = Path(__file__).parent / "__snapshots__"
SIZES = {"80x24": (80, 24), "160x48": (160, 48)}
SCREENS = {
    "containers": (),
    "container": ("j", "j", "enter"),
    "namespaces": ("2", "g"),
    "sharing": ("2", "tab"),
    "layers": ("j", "l"),
    "files": ("j", "l", "t", "tab", "j", "right", "j", "j"),
    "wasted": ("j", "l", "t", "t", "tab", "S"),
    "mounts": ("j", "l", "T", "tab", "j", "j"),
    "view": ("j", "l", "t", "tab", "j", "right", "j", "j", "v", "enter"),
    "save": ("j", "l", "t", "tab", "j", "right", "j", "j", "w", "enter"),
    "cgroups": ("j", "j", "c"),
    "events": ("5",),
    "event": ("5", "g", "enter"),
    "waterfall": ("5", "g", "w"),
    "help": ("question_mark",),
    "start": ("s",),
    "signal": ("j", "K"),
    "remove": ("j", "D"),
    "order": ("o",),
    "owner": ("W",),
    "owned": ("W", *"id:worker", "enter"),
}
UPDATE = "CINSPECT_UPDATE_SNAPSHOTS"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SCREENS)
async def test_it_looks_as_it_was_accepted(name: str, size: str) -> None:
    steps = [frames.frame(step) for step in range(12)]
    async with running(*steps, size=SIZES[size], keys=SCREENS[name]) as driven:
        await driven.pilot.pause(0.05)
        drawn = "\n".join(line.rstrip() for line in driven.lines) + "\n"
    path = HERE / f"{name}-{size}.txt"
    if os.environ.get(UPDATE) and not os.environ.get("CI"):
        HERE.mkdir(exist_ok=True)
        path.write_text(drawn, encoding="utf-8")
    assert path.exists(), f"nothing was accepted for {path.name}: set {UPDATE}=1"
    assert drawn == path.read_text(encoding="utf-8")


def test_every_accepted_look_is_still_looked_at() -> None:
    wanted = {f"{name}-{size}.txt" for name in SCREENS for size in SIZES}
    assert {path.name for path in HERE.iterdir()} == wanted


def test_ci_accepts_nothing() -> None:
    assert not (os.environ.get("CI") and os.environ.get(UPDATE)), f"{UPDATE} is set in CI"
