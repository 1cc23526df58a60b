"""Asks what to start; the command line that does the same grows as one fills the form in."""

import re
import shlex
from collections.abc import Mapping
from typing import Final, Literal

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Label

from inspector.control import StartRequest
from screens.dialogs.base import Dialog

_FIELDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("image", "Image", "@host is this machine's own root, read-only below"),
    ("rootfs", "or rootfs", "a directory to use as the root, instead of an image"),
    ("command", "Command", "the image's own, or sh"),
    ("name", "Name", "one is made up"),
    ("memory", "Memory", "64M, 1G; no limit"),
    ("cpus", "Cpus", "0.5 is half a core; no limit"),
    ("pids", "Pids", "50; no limit"),
    ("network", "Network", "none: an empty one of its own; or host: the host's"),
)
_SIZE: Final = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$", re.IGNORECASE)
_SCALE: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")


class InvalidForm(Exception):  # noqa: N818 - it names what is so, not what went wrong in us
    """A field has a value that means nothing; the message says which, and what would."""


class StartDialog(Dialog[StartRequest]):
    """A form for `StartRequest`."""

    AUTO_FOCUS = "#start-command"

    def __init__(self) -> None:
        super().__init__("Start a container", agree="Start")

    def question(self) -> ComposeResult:
        """The fields."""
        for name, label, placeholder in _FIELDS:
            with Horizontal(classes="field"):
                yield Label(label, markup=False)
                value = "@host" if name == "image" else ""
                yield Input(value, placeholder=placeholder, id=f"start-{name}", compact=True)

    def on_mount(self) -> None:
        """Show what an empty form means."""
        super().on_mount()
        self._check()

    @on(Input.Changed)
    def _check(self) -> StartRequest | None:
        try:
            request = parsed(self._values())
        except InvalidForm as wrong:
            self.problem(str(wrong))
            return None
        self.problem("")
        self.command(command_line(request))
        return request

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.agree()

    def agree(self) -> None:
        """Answer with the request, if the form means one."""
        request = self._check()
        if request is not None:
            self.dismiss(request)

    def _values(self) -> dict[str, str]:
        return {
            name: self.query_one(f"#start-{name}", Input).value.strip() for name, _, _ in _FIELDS
        }


def parsed(values: Mapping[str, str]) -> StartRequest:
    """Return the request that a form's texts mean; `InvalidForm` names the one that means nothing."""
    image, rootfs = values.get("image", ""), values.get("rootfs", "")
    if rootfs:
        image = ""
        if not rootfs.startswith("/"):
            raise InvalidForm("rootfs is not an absolute path: it begins with /")
    if not image and not rootfs:
        raise InvalidForm("neither image nor rootfs: @host is always there")
    name = values.get("name", "")
    if name and not _NAME.match(name):
        raise InvalidForm("name has other characters than letters, digits, _ . -")
    try:
        command = tuple(shlex.split(values.get("command", "")))
    except ValueError as problem:
        raise InvalidForm(f"command does not end well: {str(problem).lower()}") from problem
    if rootfs and not command:
        raise InvalidForm("no command: with a rootfs, say what to run in it")
    return StartRequest(
        image=image or None,
        rootfs=rootfs or None,
        command=command,
        name=name or None,
        memory_bytes=_bytes(values.get("memory", "")),
        cpus=_cpus(values.get("cpus", "")),
        pids_limit=_pids(values.get("pids", "")),
        network=_network(values.get("network", "")),
    )


def command_line(request: StartRequest) -> str:
    """Return the `cinspect run` that does the same."""
    words = ["cinspect", "run", "-d"]
    if request.name:
        words += ["--name", request.name]
    if request.memory_bytes is not None:
        words += ["--memory", _size_option(request.memory_bytes)]
    if request.cpus is not None:
        words += ["--cpus", f"{request.cpus:g}"]
    if request.pids_limit is not None:
        words += ["--pids-limit", str(request.pids_limit)]
    if request.network != "none":
        words += ["--network", request.network]
    if request.rootfs:
        words += ["--rootfs", request.rootfs]
    elif request.image:
        words.append(request.image)
    return shlex.join([*words, *request.command])


def _size_option(value: int) -> str:
    for suffix, scale in (("g", 1024**3), ("m", 1024**2), ("k", 1024)):
        if value % scale == 0:
            return f"{value // scale}{suffix}"
    return str(value)


def _bytes(text: str) -> int | None:
    if not text:
        return None
    matched = _SIZE.match(text)
    if not matched:
        raise InvalidForm(f"memory {text} is not a size: 64M, 1G")
    value = int(float(matched[1]) * _SCALE[matched[2].lower()])
    if value < 4096:
        raise InvalidForm(f"memory {text} is less than one page: 64M, 1G")
    return value


def _cpus(text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 4096:
        raise InvalidForm(f"cpus {text} is not a number of cores from 0.01 up: 0.5, 2")
    return value


def _network(text: str) -> Literal["none", "host"]:
    if text in {"", "none"}:
        return "none"
    if text == "host":
        return "host"
    raise InvalidForm(f"network {text} is neither none nor host")


def _pids(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:12]) <= 4194304:
        raise InvalidForm(f"pids {text} is not a whole number from 1 to 4194304")
    return int(text)
