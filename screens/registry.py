"""Every screen, in one list: adding one is a line here and a tab."""

from typing import Final

from screens.base import SubjectScreen
from screens.cgroups.screen import CgroupsScreen
from screens.containers.screen import ContainersScreen
from screens.events.screen import EventsScreen
from screens.layers.screen import LayersScreen
from screens.namespaces.screen import NamespacesScreen

SCREENS: Final[tuple[type[SubjectScreen], ...]] = (
    ContainersScreen,
    NamespacesScreen,
    LayersScreen,
    CgroupsScreen,
    EventsScreen,
)
