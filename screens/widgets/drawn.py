"""What every widget of ours stands on: lines drawn on demand, and one colour for each tone."""

from typing import ClassVar, Self

from rich.style import Style
from textual.geometry import Region
from textual.widget import Widget

from screens.widgets.cells import TONES, Tone


class Drawn(Widget):
    """Gives a widget the style of each tone, from the theme; mix it into a line-drawn widget."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"tone--{tone}" for tone in TONES}
    DEFAULT_CSS = """
    Drawn {
        & > .tone--dim { color: $text-muted; }
        & > .tone--bold { text-style: bold; }
        & > .tone--title { color: $text-muted; text-style: bold; }
        & > .tone--accent { color: $accent; }
        & > .tone--ok { color: $success; }
        & > .tone--paused { color: $secondary; }
        & > .tone--stopped { color: $text-disabled; }
        & > .tone--pressed { color: $warning; }
        & > .tone--failed { color: $error; text-style: bold; }
        & > .tone--cursor { background: $block-cursor-background; text-style: bold; }
        & > .tone--cursor-blurred { background: $block-cursor-blurred-background; }
        &:ansi > .tone--dim { text-style: dim; }
        &:ansi > .tone--title { text-style: bold dim; }
        &:ansi > .tone--stopped { text-style: dim; }
        &:ansi > .tone--cursor { color: $block-cursor-foreground; }
        &:ansi > .tone--cursor-blurred { text-style: underline; }
        &:nocolor > .tone--cursor { text-style: reverse; }
    }
    """

    _tones: dict[Tone, Style] | None = None

    def tone(self, tone: Tone) -> Style:
        """Return a tone's style as the theme has it now; worked out once between two refreshes."""
        if self._tones is None:
            self._tones = {}
        found = self._tones.get(tone)
        if found is None:
            found = self._tones[tone] = self._style(tone)
        return found

    def _style(self, tone: Tone) -> Style:
        if tone == "plain":
            return self.rich_style
        return self.get_component_rich_style(f"tone--{tone}", partial=tone.startswith("cursor"))

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Draw anew, with the styles of now."""
        self._tones = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
