"""`cinspect cp`: copies files out of a container and into one, as Docker's does, and executes nothing."""

import argparse
import os
import sys
from typing import BinaryIO, Final

from collectors.errors import CollectError
from collectors.inside import Inside
from collectors.root import Root
from inspector import exit_codes, units
from inspector.cli import found, options
from inspector.cli.engine import session
from inspector.domains.containers.model import Container
from inspector.errors import Failure, WrongUsage
from inspector.layers import copying, places, sources
from inspector.layers.copying import Copied, Rules
from inspector.output import text
from runtime.errors import RuntimeFailure

EMBEDDED: Final = "cinspect"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Copy a file or a directory out of a container, or into one, of any engine or "
        "none. A directory that is there gets the copy under its own name; SRC/. is what is in a "
        "directory. What comes into a container belongs to its root; what comes out to you, "
        "without set-user-id. Links are copied as links; devices, FIFOs, sockets and other "
        "filesystems mounted below are skipped, and said. With - instead of a path of the host, a tar "
        "stream is written to stdout, or read from stdin into a directory: there, ids and modes are "
        "those of the container. Out of one that does not run, files are read through its layers, without "
        "its volumes; into one they come, and into its volumes, where it is the embedded engine's, "
        "Docker's or Podman's.",
        "cinspect cp web:/var/log/nginx ./logs",
        "cinspect cp nginx.conf web:/etc/nginx/",
        "cinspect cp web:/etc - | tar tv",
        "tar c site | cinspect cp - web:/srv",
        "cinspect cp --layer 0 web:/etc/passwd before    as lower layer 0 has it",
    )
    parser.add_argument("source", metavar="SRC", help="CONTAINER:PATH, a path of the host, or -")
    parser.add_argument(
        "destination", metavar="DEST", help="a path of the host, -, or CONTAINER:PATH"
    )
    parser.add_argument("-L", "--follow-link", action="store_true", help="copy what SRC points to")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing of what was copied")
    parser.add_argument("--layer", metavar="N", help="out of this layer alone: upper, 0, 1…")


def run(args: argparse.Namespace) -> int:
    """Copy; return 0."""
    source, destination = _parted(args.source), _parted(args.destination)
    if source is None and destination is not None:
        options.refuse_read_only(args)
        if args.layer is not None:
            raise WrongUsage("--layer is about what is copied out: nothing is written to a layer")
        copied = _into(args, *destination)
    elif source is not None and destination is None:
        copied = _out(args, *source)
    else:
        raise WrongUsage("one of SRC and DEST is CONTAINER:PATH, the other one a path of the host")
    for path in copied.skipped:
        options.talk(f"skipped {path}: a device, a FIFO, a socket, or another filesystem")
    if not args.quiet:
        options.talk(said(copied))
    return exit_codes.DONE


def said(copied: Copied) -> str:
    """Return what was copied in words."""
    parts = [f"copied {copied.files} files of {units.size(copied.size_bytes)}"]
    if copied.directories:
        parts.append(f"{copied.directories} directories")
    if copied.links:
        parts.append(f"{copied.links} links")
    return ", ".join(parts)


def _parted(word: str) -> tuple[str, str] | None:
    """Return container and path; None for a path of the host, which may have a colon after a `/`."""
    name, colon, path = word.partition(":")
    if not colon or not name or "/" in name or name.startswith("."):
        return None
    return name, path or "/"


def _out(args: argparse.Namespace, reference: str, path: str) -> Copied:
    root = Root(options.settings(args).host_root)
    container = found.container(args, reference)
    if args.destination == "-":
        return _stream_out(args, root, container, path)
    with sources.of_container(root, container, args.layer) as source, _host() as host:
        return copying.copy(
            source,
            path,
            host,
            _absolute(args.destination),
            rules=Rules(),
            follow=args.follow_link,
        )


def _stream_out(args: argparse.Namespace, root: Root, container: Container, path: str) -> Copied:
    if sys.stdout.isatty():
        raise WrongUsage("stdout is a terminal: redirect the tar stream, as with `| tar x`")
    # Not loaded by what copies files.
    from inspector.layers import tarring  # noqa: PLC0415

    with sources.of_container(root, container, args.layer) as source:
        return tarring.write(
            source, path, sys.stdout.buffer, base=owner(container), follow=args.follow_link
        )


def _into(args: argparse.Namespace, reference: str, path: str) -> Copied:
    container = found.container(args, reference)
    problem: str | None = "interrupted"
    how = f"{text.printable(args.source)} to {text.printable(path)}"
    try:
        copied = _written(args, container, path)
        problem = None
    except (Failure, RuntimeFailure) as failure:
        problem = str(failure)
        raise
    finally:
        session.action_log(args).record(
            "cp", container.id, engine=container.engine, how=how, error=problem
        )
    return copied


def _written(args: argparse.Namespace, container: Container, path: str) -> Copied:
    if container.pid is not None:
        with places.inside(Root(), container) as inside:
            return _copy_into(args, container, inside, path)
    # Loads the engine, or what asks one: only who writes into what is stopped needs it.
    from inspector.controls import stopped  # noqa: PLC0415

    if container.engine == EMBEDDED:
        with stopped.embedded(options.runtime(args, root=True), container) as inside:
            return _copy_into(args, container, inside, path)
    chosen = options.settings(args)
    sockets = stopped.sockets(container, root=chosen.root, state=chosen.state)
    if args.source == "-":
        return stopped.stream(sockets, container, _stdin(), path)
    with _host() as host:
        return stopped.copy(
            sockets, container, host, _absolute(args.source), path, follow=args.follow_link
        )


def _copy_into(args: argparse.Namespace, container: Container, inside: Inside, path: str) -> Copied:
    if args.source == "-":
        return _stream_in(inside, path, container)
    with _host() as host:
        return copying.copy(
            sources.Mounted(host),
            _absolute(args.source),
            inside,
            path,
            rules=Rules(owner=owner(container), set_id=True),
            follow=args.follow_link,
        )


def _stream_in(inside: Inside, path: str, container: Container) -> Copied:
    # Not loaded by what copies files.
    from inspector.layers import tarring  # noqa: PLC0415

    return tarring.read(_stdin(), inside, path, base=owner(container))


def _stdin() -> BinaryIO:
    if sys.stdin.isatty():
        raise WrongUsage("stdin is a terminal: give a tar stream, as with `tar c DIR |`")
    return sys.stdin.buffer


def owner(container: Container) -> tuple[int, int]:
    """Return the host's ids of a container's root: its user namespace may map it elsewhere."""
    security = container.security
    if security is None:
        return 0, 0
    ids: list[int] = []
    for maps in (security.uid_map, security.gid_map):
        inside = (
            one.outside - one.inside for one in maps if one.inside <= 0 < one.inside + one.count
        )
        ids.append(next(inside, 0))
    return ids[0], ids[1]


def _host() -> Inside:
    try:
        return Inside.of_directory(Root(), "/")
    except CollectError as error:
        raise Failure(str(error)) from error


def _absolute(path: str) -> str:
    # Not normalized: `a/..` of a link is elsewhere, and a `/` or `/.` at the end means something.
    return path if path.startswith("/") else f"{os.getcwd()}/{path}"
