"""`cinspect logs`: prints what a container wrote."""

import argparse
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import attach, session, terminal
from inspector.cli.engine.streams import write_all
from runtime.api import Runtime
from runtime.types import LogLine

_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
"""All but tab and newline: C0, DEL, and C1 as UTF-8 has it."""
_BATCH: Final = 1 << 16


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Print what a container wrote, stdout on stdout and stderr on stderr. On a terminal its "
        "control sequences are shown, not obeyed; through a pipe every byte is as it was.",
        "cinspect logs web",
        "cinspect logs -f --tail 20 -t web",
        "cinspect logs --since 10m web",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until it ends")
    parser.add_argument(
        "-n", "--tail", metavar="N", type=tail, default=None, help="only the last N lines, or all"
    )
    parser.add_argument("-t", "--timestamps", action="store_true", help="when, before each line")
    parser.add_argument(
        "--since", metavar="TIME", type=since, help="10m ago, or 2026-01-31T12:00:00Z"
    )
    parser.add_argument("--raw", action="store_true", help="let the terminal obey its sequences")
    session.add_references(parser, many=False)


def run(args: argparse.Namespace) -> int:
    """Print them; return 0."""
    engine = options.runtime(args)
    attach.flush_standard_streams()
    session.execute(engine, _print(engine, args))
    return exit_codes.DONE


def tail(value: str) -> int | None:
    """Return how many lines; None is all of them."""
    return None if value == "all" else 0 if value == "0" else options.positive(value)


def since(value: str) -> datetime:
    """Return a moment: a duration ago, seconds since the epoch, or RFC 3339 (without zone: UTC)."""
    if re.fullmatch(r"[0-9]{9,11}(\.[0-9]+)?", value, re.ASCII):
        return datetime.fromtimestamp(float(value), UTC)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        pass
    else:
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    try:
        return datetime.now(UTC) - timedelta(seconds=options.duration(value))
    except OverflowError as error:
        raise argparse.ArgumentTypeError(f"too long ago: {value!r}") from error


async def _print(engine: Runtime, args: argparse.Namespace) -> None:
    skipped = 0
    if args.tail is not None:
        total = 0
        async for line in _wanted(engine.logs(args.container), args.since):
            total += line.data.endswith(b"\n")
        skipped = max(0, total - args.tail)
    out = _Out(timestamps=args.timestamps, raw=args.raw)
    async for line in _wanted(engine.logs(args.container, follow=args.follow), args.since):
        if skipped:
            skipped -= line.data.endswith(b"\n")
            continue
        out.write(line)
        if args.follow:
            out.flush()
    out.flush()


async def _wanted(lines: AsyncIterator[LogLine], since: datetime | None) -> AsyncIterator[LogLine]:
    async for line in lines:
        if since is None or line.timestamp >= since:
            yield line


class _Out:
    """Writes lines in batches, in their order, each to its own stream."""

    def __init__(self, *, timestamps: bool, raw: bool) -> None:
        self._timestamps = timestamps
        self._shown = {
            stream: not raw and terminal.is_terminal(descriptor)
            for stream, descriptor in (("stdout", 1), ("stderr", 2))
        }
        self._stream = "stdout"
        self._held = bytearray()
        self._begins = {"stdout": True, "stderr": True}

    def write(self, line: LogLine) -> None:
        """Take one line, or a part of one."""
        if line.stream != self._stream:
            self.flush()
            self._stream = line.stream
        if self._timestamps and self._begins[line.stream]:
            self._held += (
                f"{line.timestamp.astimezone(UTC).isoformat(timespec='microseconds')} ".replace(
                    "+00:00", "Z"
                ).encode()
            )
        self._begins[line.stream] = line.data.endswith(b"\n")
        self._held += visible(line.data) if self._shown[line.stream] else line.data
        if len(self._held) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            write_all(1 if self._stream == "stdout" else 2, bytes(self._held))
            self._held.clear()


def visible(data: bytes) -> bytes:
    r"""Return bytes without terminal controls: each is shown as `\x1b`; CR before LF is dropped."""
    return _CONTROLS.sub(_escape, data.replace(b"\r\n", b"\n"))


def _escape(match: re.Match[bytes]) -> bytes:
    return "".join(f"\\x{byte:02x}" for byte in match[0]).encode()
