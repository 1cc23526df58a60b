"""Which key does what to a container, in one list; a read-only session has none of them."""

from dataclasses import dataclass
from typing import Final

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class ActionKey:
    """An action on the selected container, or on none."""

    key: str
    action: str
    title: str
    help: str
    needs_container: bool = True
    hint: bool = True


ACTIONS: Final[tuple[ActionKey, ...]] = (
    ActionKey(
        "s", "start", "start", "start a container of the embedded engine", needs_container=False
    ),
    ActionKey("x", "exec", "exec", "run a command inside, on this terminal"),
    ActionKey("f", "freeze", "freeze", "freeze every process of it, or let them go on"),
    ActionKey("K", "signal", "signal", "send a signal to its first process"),
    ActionKey("D", "remove", "remove", "remove it with all that is its own"),
)

WINDOWS: Final[tuple[tuple[str, str, str], ...]] = (
    ("n", "namespaces", "its namespaces"),
    ("l", "layers", "its layers"),
    ("c", "cgroups", "its cgroup"),
    ("e", "events", "its events"),
)
"""Keys that lead from a selected container to another window on it."""


def action_bindings() -> list[Binding]:
    """Return the bindings of the actions, for a session that may act."""
    return [
        Binding(one.key, f"act('{one.action}')", one.title, show=one.hint, tooltip=one.help)
        for one in ACTIONS
    ]


def window_bindings() -> list[Binding]:
    """Return the bindings that lead to a container's other windows."""
    return [
        Binding(key, f"window('{mode}')", title, show=False, tooltip=f"show {title}")
        for key, mode, title in WINDOWS
    ]
