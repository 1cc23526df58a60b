"""What the command palette finds: screens, containers by name, actions on the selected one."""

from collections.abc import Callable, Iterator
from typing import cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from screens import safe
from screens.base import TABS, SubjectScreen
from screens.keys import ACTIONS
from screens.shell import Shell

_Command = tuple[str, str, Callable[[], None]]


class CinspectCommands(Provider):
    """Screens, containers, actions."""

    @property
    def _shell(self) -> Shell:
        return cast("Shell", self.app)

    def _fixed(self) -> Iterator[_Command]:
        for tab in TABS:
            yield f"Go to {tab.title}", f"key {tab.key}", self._going(tab.name)
        yield "Who owns this?", "a pid, a port, a path… (key W)", self._asking()
        screen = self.screen
        if self._shell.may_act and isinstance(screen, SubjectScreen):
            for action in ACTIONS:
                yield (
                    action.title.capitalize(),
                    f"{action.help} (key {action.key})",
                    self._acting(screen, action.action),
                )

    def _containers(self) -> Iterator[_Command]:
        moment = self._shell.moment
        for container in moment.containers if moment else ():
            name = safe.text(container.name)
            for tab in TABS[:4]:
                help_text = f"{safe.text(container.engine or 'no engine')}, {container.status}"
                yield f"{name}: {tab.title.lower()}", help_text, self._going(tab.name, container.id)

    def _going(self, mode: str, container: str | None = None) -> Callable[[], None]:
        return lambda: self._shell.go(mode, container)

    def _asking(self) -> Callable[[], None]:
        return self._shell.ask_owner

    def _acting(self, screen: SubjectScreen, action: str) -> Callable[[], None]:
        return lambda: screen.action_act(action)

    async def discover(self) -> Hits:
        """Offer what is always there."""
        for text, help_text, command in self._fixed():
            yield DiscoveryHit(Content(text), command, text=text, help=help_text)

    async def search(self, query: str) -> Hits:
        """Offer what fits."""
        matcher = self.matcher(query)
        for text, help_text, command in (*self._fixed(), *self._containers()):
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, matcher.highlight(text), command, text=text, help=help_text)
