"""Parses the command line and runs the verb it names; a verb's module loads when it is asked for."""

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn, Protocol, cast

from inspector import exit_codes
from inspector.cli import options
from inspector.errors import Failure
from runtime.errors import RuntimeFailure


class Verb(NamedTuple):
    """One subcommand: its name, its line in the help, the module that does it, other names."""

    name: str
    help: str
    module: str
    aliases: tuple[str, ...] = ()


class VerbModule(Protocol):
    """What a verb's module has."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options, its description and its examples."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; return the exit status."""
        ...


VERBS: Final = (
    Verb("ui", "open the dashboard (the default)", "inspector.cli.ui"),
    Verb("dump", "print one frame as JSON", "inspector.cli.dump"),
    Verb("watch", "print a frame a line, at an interval", "inspector.cli.watch"),
    Verb("events", "print the event stream", "inspector.cli.events"),
    Verb("owner", "say which container a pid, port, path… belongs to", "inspector.cli.owner"),
    Verb("schema", "print the JSON Schema of what dump prints", "inspector.cli.schema"),
    Verb("doctor", "say what this host supports and what you may do", "inspector.cli.doctor"),
    Verb("run", "make a container and start a command in it", "inspector.cli.engine.run"),
    Verb("create", "make a container without starting it", "inspector.cli.engine.create"),
    Verb("start", "start containers that were created or stopped", "inspector.cli.engine.start"),
    Verb("exec", "run a command in a running container", "inspector.cli.engine.exec"),
    Verb("attach", "take over a running container's streams", "inspector.cli.engine.reattach"),
    Verb("logs", "print what a container wrote", "inspector.cli.engine.logs"),
    Verb("kill", "send a signal to containers", "inspector.cli.engine.kill"),
    Verb("stop", "stop containers: SIGTERM, then SIGKILL", "inspector.cli.engine.stop"),
    Verb("freeze", "freeze every process of containers", "inspector.cli.engine.freeze", ("pause",)),
    Verb("thaw", "let frozen containers go on", "inspector.cli.engine.thaw", ("unpause",)),
    Verb("wait", "wait until containers end; print exit codes", "inspector.cli.engine.wait"),
    Verb("rm", "remove containers", "inspector.cli.engine.rm"),
    Verb("update", "change limits of running containers", "inspector.cli.engine.update"),
    Verb("ps", "list the embedded engine's containers", "inspector.cli.engine.ps"),
    Verb("inspect", "print all that is known of containers", "inspector.cli.engine.inspect"),
    Verb("top", "list the processes of a container", "inspector.cli.engine.top"),
    Verb("diff", "list what a container changed over its layers", "inspector.cli.engine.diff"),
    Verb("layers", "tell which layer has a path, and what they waste", "inspector.cli.layers"),
    Verb("cat", "print a file of a container", "inspector.cli.cat"),
    Verb("cp", "copy files out of a container, or into one", "inspector.cli.cp"),
    Verb("rename", "give a container another name", "inspector.cli.engine.rename"),
    Verb("demo", "start or stop the demo container", "inspector.cli.demo"),
)


EXAMPLES: Final = """\
examples:
  cinspect                                      the dashboard
  cinspect dump --section containers --pretty   every container, as JSON
  cinspect dump --interval 1                    the same with rates: two samples, 1 s apart
  cinspect watch --container web --interval 2   a frame a line
  cinspect events --format text                 what happens, as it happens
  cinspect run --rm -it @host bash              a container over the host's own root
  cinspect COMMAND --help                       options and examples of a command
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, run the verb, return the exit status.

    This is the boundary of the command line: every failure ends as one line on stderr.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _give_stream(0, os.O_RDONLY)
    _give_stream(2, os.O_WRONLY)
    try:
        status = _dispatch(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        status = exit_codes.INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        status = exit_codes.BROKEN_PIPE
    except Failure as failure:
        options.talk(str(failure))
        status = failure.status
    except RuntimeFailure as failure:
        options.talk(str(failure))
        status = exit_codes.FAILED
    except OSError as error:
        _drop_stdout()
        options.talk(_describe(error))
        status = exit_codes.FAILED
    except Exception as error:  # noqa: BLE001 - boundary: a user gets a line, a log gets the rest
        status = _unexpected(error, arguments)
    return status


def find_verb(name: str) -> Verb | None:
    """Return the verb of this name or alias."""
    return next((verb for verb in VERBS if name == verb.name or name in verb.aliases), None)


def _dispatch(arguments: list[str]) -> int:
    at = _verb_index(arguments)
    head, name, rest = arguments[:at], arguments[at : at + 1], arguments[at + 1 :]
    try:
        args = _main_parser().parse_args(head, argparse.Namespace())
        if not name or name[0].startswith("-"):
            # No verb: the dashboard; what is left over are options of it, as `--demo`.
            name, rest = ["ui"], arguments[at:]
        verb = find_verb(name[0])
        if verb is None:
            _unknown(name[0])
        if verb.name in _PLAIN or verb.module.startswith(_ENGINE):
            _asyncio_without_tls()
        if verb.name not in _OWN_STREAMS:
            # What is printed there is all that was asked for: writing it has to fail with EBADF.
            _give_stream(1, os.O_RDONLY)
        module = cast("VerbModule", importlib.import_module(verb.module))
        args.verb = verb.name
        args = _verb_parser(verb, module).parse_args(rest, args)
    except SystemExit as stop:  # argparse has said what it had to say
        if sys.stdout is not None:
            sys.stdout.flush()
        return stop.code if isinstance(stop.code, int) else exit_codes.DONE
    _log(options.settings(args), terminal=verb.name == "ui")
    gc.freeze()  # modules are for ever
    gc.enable()
    return module.run(args)


def _verb_index(arguments: Sequence[str]) -> int:
    """Return where the global options before the verb end."""
    at = 0
    while at < len(arguments):
        word, equals, _ = arguments[at].partition("=")
        if word not in _BEFORE:
            break
        at += 1 if equals else _BEFORE[word]
    return min(at, len(arguments))


_PLAIN: Final = frozenset({"dump", "watch", "events", "doctor", "owner"})
"""Verbs that only look: they speak with local sockets, as those of the engine do."""
_ENGINE: Final = "inspector.cli.engine."
_OWN_STREAMS: Final = frozenset({"run", "create", "start", "exec", "attach"})
"""Verbs that hand the standard streams to a command: they see to those that were closed."""
_BEFORE: Final = {
    "--root": 2,
    "--state": 2,
    "--host-root": 2,
    "--log-level": 2,
    "--log-file": 2,
    "--read-only": 1,
    "--no-color": 1,
    "--version": 1,
    "--help": 1,
    "-h": 1,
}
"""How many words each option before the verb takes."""


def _asyncio_without_tls() -> None:
    """Load asyncio without ssl, which it can do without: a third of its memory and of its time.

    Nothing that these verbs speak with has TLS. Whoever wants ssl afterwards gets it.
    """
    if "asyncio" in sys.modules or "ssl" in sys.modules:
        return
    modules = cast("dict[str, object]", sys.modules)
    modules["ssl"] = None
    try:
        importlib.import_module("asyncio")
    finally:
        del modules["ssl"]


def _main_parser() -> argparse.ArgumentParser:
    width = max(len(_names(verb)) for verb in VERBS)
    listing = "\n".join(f"  {_names(verb):{width}}  {verb.help}" for verb in VERBS)
    parser = argparse.ArgumentParser(
        prog="cinspect",
        usage="cinspect [global options] [command] [options]",
        description="See every container on this host from the kernel up, and run your own.",
        epilog=f"commands:\n{listing}\n\n{EXAMPLES}",
        formatter_class=options.HelpFormatter,
        allow_abbrev=False,
    )
    options.add_globals(parser)
    return parser


def _verb_parser(verb: Verb, module: VerbModule) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"cinspect {verb.name}",
        formatter_class=options.HelpFormatter,
        allow_abbrev=False,
        conflict_handler="resolve",  # `run --read-only` is the container's, not cinspect's
    )
    options.add_globals(parser)
    module.configure(parser)
    return parser


def _names(verb: Verb) -> str:
    return ", ".join((verb.name, *verb.aliases))


def _unknown(name: str) -> NoReturn:
    import difflib  # noqa: PLC0415 - only a mistake needs it

    known = [word for verb in VERBS for word in (verb.name, *verb.aliases)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "see cinspect --help"
    options.talk(f"there is no command {name!r}: {hint}")
    raise SystemExit(exit_codes.USAGE)


def _log(settings: options.Settings, *, terminal: bool) -> None:
    if settings.log_level is None and settings.log_file is None and not terminal:
        return
    import logging  # noqa: PLC0415 - most commands log nothing

    handler: logging.Handler
    if settings.log_file is not None:
        handler = logging.FileHandler(
            settings.log_file, encoding="utf-8", errors="backslashreplace"
        )
    else:
        # The dashboard owns the terminal: a line on stderr would be drawn over it.
        handler = logging.NullHandler() if terminal else logging.StreamHandler()
    logging.basicConfig(
        level=(settings.log_level or "warning").upper(),
        handlers=[handler],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


def _unexpected(error: Exception, arguments: Sequence[str]) -> int:
    if any(word.startswith("--log-") for word in arguments):
        import logging  # noqa: PLC0415 - the user asked for it

        logging.getLogger("cinspect").error("unexpected", exc_info=error)
    options.talk(
        f"unexpected {type(error).__name__}: {error} (this is a defect; --log-level debug says where)"
    )
    return exit_codes.FAILED


def _describe(error: OSError) -> str:
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{where}{error.strerror or error}"


def _give_stream(number: int, flags: int) -> None:
    """Open the null device on a standard descriptor that was closed, lest a file of ours gets it."""
    name = ("stdin", "stdout", "stderr")[number]
    if getattr(sys, name) is not None:
        return
    null = os.open(os.devnull, flags)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    stream = os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False)
    setattr(sys, name, stream)


def _drop_stdout() -> None:
    """Let what is still buffered go nowhere: the interpreter flushes once more when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):  # a test's stdout, or one that was closed: nothing to flush
        return
    finally:
        os.close(null)


if __name__ == "__main__":
    sys.exit(main())
