"""The rows of docs/features.md, and a shell to run the command of one in."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "features.md"
_ROW: Final = re.compile(r"^\| (\d+) \|.*\| `(cinspect .*)` \|$", re.MULTILINE)


def _rows(text: str) -> dict[str, str]:
    return {number: command.replace("\\|", "|") for number, command in _ROW.findall(text)}


_FOUND_TEXT, _, _TOLD_TEXT = _DOCUMENT.read_text().partition("\n# ")
FOUND: Final = _rows(_FOUND_TEXT)
"""Commands that show what is found, by the number of the row."""
TOLD: Final = _rows(_TOLD_TEXT)
"""Commands that show what is told of a container."""


def shown(command: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a row's command as a reader would type it; return what came of it."""
    return subprocess.run(
        ("bash", "-o", "pipefail", "-c", command),
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
