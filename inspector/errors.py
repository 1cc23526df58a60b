"""Failures of the inspector that its caller should hear of in one line."""

from inspector import exit_codes


class Failure(Exception):  # noqa: N818 - said as what it is; the classes below say what to do
    """A command cannot do its work; the message is one line: what, why, what to do."""

    status: int = exit_codes.FAILED


class WrongUsage(Failure):
    """The command line asked for what can never be: exit status 2."""

    status = exit_codes.USAGE


class NeedsRoot(Failure):
    """Root is needed, and nothing has been changed yet."""


class ReadOnly(Failure):
    """The action was refused because of `--read-only`."""
