"""Colours: one theme for terminals with many of them, one that keeps to the sixteen of the terminal's own."""

from typing import Final

from textual.theme import Theme

NIGHT: Final = Theme(
    name="cinspect",
    primary="#5b9bd5",
    secondary="#6cb2ff",
    accent="#7fb4ca",
    success="#7ccf8a",
    warning="#f2b84b",
    error="#ff6b6b",
    foreground="#d7dde4",
    background="#12161c",
    surface="#171c23",
    panel="#1e2630",
    dark=True,
    variables={
        "text-muted": "#8b98a7",
        "text-disabled": "#66717e",
        "block-cursor-background": "#2b4a6b",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-blurred-background": "#232d39",
        "border": "#3a4756",
        "scrollbar": "#37424f",
        "scrollbar-background": "#12161c",
        "scrollbar-hover": "#4a586a",
        "scrollbar-active": "#5b9bd5",
    },
)

SIXTEEN: Final = Theme(
    name="cinspect-ansi",
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    dark=True,
    variables={
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "border-blurred": "ansi_default",
        "screen-selection-background": "ansi_blue",
        "screen-selection-foreground": "ansi_bright_white",
        "input-selection-foreground": "ansi_bright_white",
        "input-cursor-text-style": "reverse",
        "text-muted": "ansi_default",
        "text-disabled": "ansi_default",
        "block-cursor-background": "ansi_blue",
        "block-cursor-foreground": "ansi_bright_white",
        "block-cursor-blurred-background": "ansi_default",
        "border": "ansi_default",
        "input-cursor-background": "ansi_default",
        "input-cursor-foreground": "ansi_black",
        "input-selection-background": "ansi_blue",
    },
)


def fitting(color_system: str | None, *, no_color: bool) -> str:
    """Return the name of the theme for what the terminal can show."""
    rich_enough = color_system in {"256", "truecolor"} and not no_color
    return NIGHT.name if rich_enough else SIXTEEN.name
