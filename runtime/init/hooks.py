"""Run the hooks of an OCI spec: commands that get the container's state on stdin (config.md)."""

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime.errors import (
    Cancelled,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    RuntimeFailure,
)
from runtime.formats.spec import Spec, entries, section
from runtime.init.step import Child, Step

_MAX_WORDS = 2000
State = Mapping[str, Any]
"""What a hook reads: ociVersion, id, status, pid, bundle, annotations."""


def state(spec: Spec, *, container_id: str, bundle: str, pid: int, status: str) -> State:
    """Return the state that hooks get."""
    return {
        "ociVersion": spec.get("ociVersion") or "1.0.0",
        "id": container_id,
        "status": status,
        "pid": pid,
        "bundle": bundle,
        "annotations": dict(section(spec, "annotations")),
    }


def of(spec: Spec, kind: str) -> Sequence[Spec]:
    """Return the hooks of one kind: `prestart`, `createRuntime`, … `poststop`."""
    return entries(section(spec, "hooks"), kind)


def run(
    hooks: Sequence[Spec],
    kind: str,
    told: State,
    *,
    failed: Callable[[RuntimeFailure], None] | None = None,
) -> None:
    """Run hooks of a kind in turn; the first that fails or takes too long raises, and ends it.

    With `failed` that is called instead, and the rest run all the same.
    """
    for index, hook in enumerate(hooks):
        try:
            _run_one(hook, f"hooks.{kind}[{index}]", told)
        except RuntimeFailure as error:
            if failed is None:
                raise
            failed(error)


def _run_one(hook: Spec, key: str, told: State) -> None:
    path = hook.get("path") or ""
    if not path.startswith("/"):
        raise InvalidArgument(f"{key}.path: {path!r} is not absolute")
    arguments = list(entries(hook, "args")) or [path]
    if not arguments[0]:
        raise InvalidArgument(f"{key}.args[0]: is empty")
    given = os.memfd_create("state", os.MFD_CLOEXEC)
    words = os.memfd_create("words", os.MFD_CLOEXEC)
    try:
        os.write(given, json.dumps(told).encode())
        os.lseek(given, 0, os.SEEK_SET)
        pid = os.posix_spawn(
            path,
            arguments,
            dict(each.partition("=")[::2] for each in entries(hook, "env")),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, given, 0),
                (os.POSIX_SPAWN_DUP2, words, 1),
                (os.POSIX_SPAWN_DUP2, words, 2),
            ],
            setsigmask=(),
            setsigdef=(signal.SIGPIPE,),
        )
        ending = _wait(pid, hook.get("timeout"), key=key, path=path)
        if ending:
            said = os.pread(words, _MAX_WORDS, 0).decode("utf-8", "replace").strip()
            raise Internal(f"{key}: {path} {ending}{': ' if said else ''}{said}")
    except OSError as error:
        raise Internal(f"{key}: {path}: {error.strerror}") from error
    finally:
        os.close(given)
        os.close(words)


def _wait(pid: int, seconds: int | None, *, key: str, path: str) -> str:
    """Return how it failed; empty where it did not."""
    if seconds is not None:
        pidfd = os.pidfd_open(pid)
        try:
            import select  # noqa: PLC0415 - few hooks have a timeout

            ended = select.select([pidfd], [], [], seconds)[0]
        finally:
            os.close(pidfd)
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise DeadlineExceeded(f"{key}.timeout: {path} takes longer than {seconds} seconds")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        return f"was killed by signal {-status}"
    return f"ended with {status}" if status else ""


class RuntimeHooks(Step):
    """Wait while the parent runs the hooks that belong outside, and learn one's pid there."""

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "wait for the runtime's hooks"

    def execute(self, child: Child, /) -> None:
        """Tell the parent, and wait for its word."""
        child.sync.send(b"H")
        answer = child.sync.recv(64)
        if not answer.startswith(b"M"):
            raise Cancelled("the parent is gone")
        child.pid = int(answer[1:])


class ContainerHooks(Step):
    """Run hooks in the container's namespaces."""

    __slots__ = ("_hooks", "_kind", "_told")

    def __init__(self, kind: str, hooks: Sequence[Spec], told: State) -> None:
        if any(hook.get("timeout") is not None for hook in hooks):
            __import__("select")  # for `_wait`: in the container there are no modules to load
        self._kind = kind
        self._hooks = hooks
        self._told = told

    def describe(self) -> str:
        """Name the kind."""
        return f"run the {self._kind} hooks"

    def execute(self, child: Child, /) -> None:
        """Run them."""
        run(self._hooks, self._kind, {**self._told, "pid": child.pid})
