"""Read a command line as the OCI runtimes take it: `-flag`, `--flag`, `--flag=value`, `--flag value`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from runtime.errors import InvalidArgument

_TRUE = {"", "1", "t", "true", "TRUE", "True", "T"}
_FALSE = {"0", "f", "false", "FALSE", "False", "F"}


class Option(NamedTuple):
    """What a flag is called, and what follows it."""

    name: str
    value: str = ""
    """What the value is, for the help; empty for a switch."""
    help: str = ""
    short: str = ""
    many: bool = False
    """Whether it may be given more than once, each time with one more value."""


class Command(NamedTuple):
    """A word of the command line, and where its function is."""

    name: str
    module: str
    """Below `runtime.command`; imported when it is called for."""
    function: str
    help: str
    arguments: str = "ID"
    least: int = 1
    most: int | None = 1
    options: tuple[Option, ...] = ()
    in_order: bool = False
    """Whether all that follows the first argument is the container's, flags too."""


class Request:
    """A command line that was read."""

    __slots__ = ("arguments", "command", "lists", "shared", "values")

    def __init__(self, command: str, shared: "Request | None" = None) -> None:
        self.command = command
        self.arguments: tuple[str, ...] = ()
        self.values: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.shared = shared
        """What stands before the command."""

    def text(self, name: str) -> str | None:
        """Return a flag's value; None if it was not given."""
        return self.values.get(name)

    def on(self, name: str) -> bool:
        """Tell whether a switch was given."""
        return self.values.get(name, "false") in _TRUE

    def number(self, name: str) -> int | None:
        """Return a flag's value as a number, or raise `InvalidArgument`."""
        value = self.values.get(name)
        if value is None:
            return None
        try:
            return int(value, 10)
        except ValueError:
            raise InvalidArgument(
                f'invalid value "{value}" for flag -{name}: not a number'
            ) from None

    def every(self, name: str) -> Sequence[str]:
        """Return all the values of a flag that may be repeated."""
        return self.lists.get(name, ())

    @property
    def id(self) -> str:
        """The container's id, the first argument."""
        return self.arguments[0]


def read(
    words: Sequence[str], options: Sequence[Option], request: Request, *, in_order: bool
) -> None:
    """Put flags and arguments into the request; raises `InvalidArgument`.

    With `in_order` the first word that is no flag ends the flags.
    """
    known: Mapping[str, Option] = {
        name: option for option in options for name in (option.name, option.short) if name
    }
    rest, found = list(words), list[str]()
    while rest:
        word = rest.pop(0)
        if word == "--":
            found.extend(rest)
            break
        if word == "-" or not word.startswith("-"):
            found.append(word)
            if in_order:
                found.extend(rest)
                break
            continue
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        option = known.get(name)
        if option is None:
            raise InvalidArgument(f"flag provided but not defined: -{name}")
        if option.value and not equals:
            if not rest:
                raise InvalidArgument(f"flag needs an argument: -{name}")
            value = rest.pop(0)
        _store(request, option, value)
    request.arguments = tuple(found)


def _store(request: Request, option: Option, value: str) -> None:
    if "\0" in value:
        raise InvalidArgument(f"flag -{option.name}: a zero byte cannot be in it")
    if not option.value and value not in _TRUE | _FALSE:
        raise InvalidArgument(f'invalid boolean value "{value}" for -{option.name}')
    if option.many:
        request.lists.setdefault(option.name, []).append(value)
    request.values[option.name] = value


def check(request: Request, command: Command) -> None:
    """Raise `InvalidArgument` unless there are as many arguments as the command takes."""
    count = len(request.arguments)
    if count < command.least or (command.most is not None and count > command.most):
        wanted = command.arguments or "no arguments"
        raise InvalidArgument(f"{command.name}: takes {wanted}, not {count} arguments")


def usage(program: str, command: Command) -> str:
    """Return a command's help."""
    lines = [f"{command.help[0].upper()}{command.help[1:]}.", "", "USAGE:"]
    flags = " [options]" if command.options else ""
    lines.append(f"   {program} {command.name}{flags} {command.arguments}".rstrip())
    lines.extend(flag_lines(command.options))
    return "\n".join(lines) + "\n"


def flag_lines(options: Sequence[Option]) -> list[str]:
    """Return the lines of a help that list flags."""
    if not options:
        return []
    left = [
        f"--{each.name}{f' {each.value}' if each.value else ''}"
        f"{f', -{each.short}' if each.short else ''}"
        for each in options
    ]
    width = max(map(len, left))
    rows = zip(left, options, strict=True)
    return ["", "OPTIONS:", *(f"   {text:<{width}}  {each.help}".rstrip() for text, each in rows)]
