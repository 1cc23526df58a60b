"""`cinspect ui --demo`: the demo is under the cursor, and what was started is gone afterwards."""

import json

import pytest

from tests import command, requirements
from tests.end_to_end import terminal
from tests.live.engine import Engine

pytestmark = pytest.mark.root


def names(engine: Engine) -> list[str]:
    return [one["name"] for one in json.loads(engine("ps", "--format", "json"))]


def test_the_demo_is_selected_and_removed_at_the_end(engine: Engine) -> None:
    requirements.commands("tmux")
    with (
        engine.running("sleep", "1000", prefix="0-first") as _,
        terminal.terminal((120, 40)) as one,
    ):
        one.type(f"{command.CINSPECT} {' '.join(engine.options)} ui --demo")
        one.wait(lambda text: "cinspect dump --container demo" in text, seconds=30)
        assert "demo" in names(engine)
        one.press("q")
        one.wait("the demo container is removed", seconds=30)
        assert names(engine) != []
        assert "demo" not in names(engine)


def test_a_demo_that_ran_before_runs_on_and_that_is_said(engine: Engine) -> None:
    requirements.commands("tmux")
    engine("demo", "start")
    try:
        with terminal.terminal((120, 40)) as one:
            one.type(f"{command.CINSPECT} {' '.join(engine.options)} ui --demo")
            one.wait(lambda text: "cinspect dump --container demo" in text, seconds=30)
            one.press("q")
            one.wait("cinspect demo stop ends it", seconds=30)
        assert "demo" in names(engine)
    finally:
        engine("demo", "stop")
