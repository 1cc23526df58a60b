"""Every screen, in one list: adding one is a line here and a tab."""

from typing import Final

from screens.base import SubjectScreen
from screens.containers.screen import ContainersScreen
from screens.events.screen import EventsScreen

SCREENS: Final[tuple[type[SubjectScreen], ...]] = (
    ContainersScreen,
    EventsScreen,
)
