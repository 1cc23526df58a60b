"""`cinspect-oci`: reads the command line, calls one function, and says on stderr what went wrong.

A failure goes to the file of --log too, in the form in which engines read it: one JSON object a
line with `level`, `msg` and `time`.
"""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from runtime.command import arguments, log, table
from runtime.command.arguments import Command, Request
from runtime.errors import InvalidArgument, RuntimeFailure, Unimplemented


def main(*, at_end: Callable[[str], None] | None = None) -> NoReturn:
    """Run from the command line; never returns, and leaves no thread and no exit handler behind.

    `at_end` is called at the end, with the command's name if it has gone well.
    """
    try:
        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # whoever was to read it has gone
            status = status or 1
    if at_end is not None:
        names = {command.name for command in table.COMMANDS}
        done = sys.argv[1:] if not status else ()
        at_end(next((word for word in done if word in names), ""))
    os._exit(status)


def run(words: list[str]) -> int:
    """Run one command line; return the exit status."""
    shared = Request(table.PROGRAM)
    try:
        arguments.read(words, table.SHARED, shared, in_order=True)
        log.configure(shared.text("log"), shared.text("log-format") or "text")
        if shared.on("version"):
            spec = table.SPEC_VERSION
            sys.stdout.write(f"{table.PROGRAM} version {table.VERSION}\nspec: {spec}\n")
            return 0
        name, *about = shared.arguments or ("help",)
        if shared.on("help") or name in {"help", "h"}:
            about = [] if shared.on("help") else about
            sys.stdout.write(_usage(about[0]) if about else _help())
            return 0
        command = _find(name)
    except (RuntimeFailure, OSError) as error:
        log.failed(str(error))
        return 1
    return _run(command, shared)


def _run(command: Command, shared: Request) -> int:
    request = Request(command.name, shared)
    words = shared.arguments[1:]
    try:
        if not command.in_order and {"--help", "-h"} & set(words):
            sys.stdout.write(_usage(command.name))
            return 0
        arguments.read(words, command.options, request, in_order=command.in_order)
        arguments.check(request, command)
        module = __import__(f"runtime.command.{command.module}", fromlist=[command.function])
        return int(getattr(module, command.function)(request))
    except (RuntimeFailure, OSError) as error:
        log.failed(_words(error))
    except RecursionError:
        log.failed(f"{command.name}: the JSON is nested too deeply")
    return 255 if command.name == "exec" else 1


def _words(error: RuntimeFailure | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error)


def _find(name: str) -> Command:
    for command in table.COMMANDS:
        if command.name == name:
            return command
    if name in table.REFUSED:
        raise Unimplemented(f"{name}: is not supported: {table.REFUSED[name]}")
    raise InvalidArgument(f"no such command: {name!r}; try {table.PROGRAM} --help")


def _usage(name: str) -> str:
    return arguments.usage(table.PROGRAM, _find(name))


def _help() -> str:
    width = max(len(each.name) for each in table.COMMANDS)
    lines = [f"{table.PROGRAM} - an OCI runtime", "", "USAGE:"]
    lines.append(f"   {table.PROGRAM} [global options] COMMAND [options] [arguments]")
    lines.extend(("", "COMMANDS:"))
    lines.extend(f"   {each.name:<{width}}  {each.help}" for each in table.COMMANDS)
    lines.extend(arguments.flag_lines(table.SHARED))
    return "\n".join(lines) + "\n"
