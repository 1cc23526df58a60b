"""Draws docs/screenshots/*.svg from the canned host: python tests/screens/take_screenshots.py [folder]."""

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
os.environ.pop("NO_COLOR", None)

from tests.screens import frames
from tests.screens.driving import running

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
SHOTS = {
    "containers": ("j", "j"),
    "container": ("j", "j", "enter"),
    "namespaces": ("2", "g"),
    "layers": ("j", "l"),
    "files": ("j", "l", "t", "tab", "j", "right", "j", "j"),
    "cgroups": ("j", "j", "c"),
    "events": ("5",),
    "start": ("s",),
}


async def take(folder: Path) -> None:
    """Take every shot."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = [frames.frame(step) for step in range(90)]
    for name, keys in SHOTS.items():
        async with running(*steps, size=(132, 38), keys=keys) as driven:
            await driven.pilot.pause(0.2)
            svg = driven.app.export_screenshot(title="cinspect", simplify=True)
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
