"""One container's cgroups where systemd owns the tree: a transient scope, and what is delegated.

systemd makes the scope and keeps what it can express as the unit's properties, so that a reload of
its own does not undo them. All limits are then written into cgroupfs too: exactly, and for the
controllers that systemd has no word for. v1's hierarchies that it leaves alone get a directory of
the same path. With v2 the devices are a BPF program's of this package; with v1 systemd keeps them.

Freezing goes through cgroupfs, whose state is true whoever froze: systemd's FreezeUnit is there from
246 on and not on v1, and the scope is delegated.
"""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

from runtime.cgroups import limits
from runtime.cgroups.join import Join
from runtime.cgroups.manager import Manager
from runtime.cgroups.systemd import properties
from runtime.cgroups.systemd.bus import MANAGER, Address, Bus, Refused
from runtime.cgroups.systemd.placeholder import Placeholder
from runtime.cgroups.systemd.properties import Property, Systemd
from runtime.cgroups.systemd.units import Unit
from runtime.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    RuntimeFailure,
)

_JOB_SECONDS: Final = 30.0
_PROPERTIES: Final = Address(MANAGER.service, MANAGER.path, "org.freedesktop.DBus.Properties")
_COLLECT: Final = 236
"""The first version that forgets units that have failed."""
_KINDS: Final = {
    "UnitExists": AlreadyExists,
    "NoSuchUnit": NotFound,
    "AccessDenied": PermissionDenied,
    "InteractiveAuthorizationRequired": PermissionDenied,
    "InvalidArgs": InvalidArgument,
    "PropertyReadOnly": InvalidArgument,
    "UnitMasked": FailedPrecondition,
}


def root(bus: Bus) -> str:
    """Return the cgroup of a systemd's own: empty for that of a whole host."""
    return bus.call(_PROPERTIES, "Get", "ss", MANAGER.interface, "ControlGroup", returns="vs")


def version(text: str) -> int:
    """Return the number that a version as "252.39-1" or "v245" begins with."""
    digits = text.removeprefix("v")
    return int(digits[: len(digits) - len(digits.lstrip("0123456789"))] or 0)


class SystemdManager(Manager):
    """The cgroups of a unit: made, changed and removed through systemd."""

    def __init__(self, path: str, unit: str, *, user: bool, bus: Bus | None = None) -> None:
        """`path` is the unit's in the whole tree; with `user` it is of the user's own systemd."""
        super().__init__(path, whole=True)
        self.unit = unit
        self.user = user
        self._connection = bus
        self._placeholder: Placeholder | None = None
        self._later: Mapping[str, Any] = {}
        self._slice = ""
        self._more: tuple[Property, ...] = ()

    @classmethod
    def planned(cls, unit: Unit, *, user: bool, annotations: Mapping[str, str]) -> "SystemdManager":
        """Return the cgroups of a container that is to be made."""
        more = properties.annotated(annotations)
        bus = Bus(user=user)
        made = cls(root(bus).rstrip("/") + unit.path, unit.name, user=user, bus=bus)
        if user and not made.unified():
            raise FailedPrecondition(
                "--systemd-cgroup: without root it needs a host with cgroup v2 alone"
            )
        made._slice, made._more = unit.slice, more
        return made

    # Making and limiting

    def create(self, resources: Mapping[str, Any]) -> None:
        """Have systemd make the scope, then the rest of the directories, and set the limits.

        `settled` must follow when the init is in: until then another process keeps the scope, and
        processes are not limited.
        """
        self._check(resources)
        self._later = {"pids": resources.get("pids")}
        now = {key: value for key, value in resources.items() if key != "pids"}
        self._placeholder = Placeholder()
        try:
            self._start(self._unit_properties(now, self._placeholder.pid))
        except BaseException:
            self._end_placeholder()  # the unit of that name, if there is one, is not ours
            raise
        try:
            super().create(now)
        except BaseException:
            with contextlib.suppress(RuntimeFailure):
                self.delete()
            raise

    def settled(self) -> None:
        """End what kept the scope, and set the limit that it would have counted in."""
        self._end_placeholder()
        wanted = properties.tasks(self._later)
        if wanted:
            self._set(wanted)
            self._apply(self._later)
        self.disconnect()

    def disconnect(self) -> None:
        """Leave the bus until it is needed again.

        Who stays subscribed and does not read is sent the end of every job of the host.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def update(self, resources: Mapping[str, Any]) -> None:
        """Change the limits that `resources` names; the others stay."""
        self._check(resources)
        self._check_enabled(resources)
        wanted = [*self._properties(resources), *properties.tasks(resources)]
        policy = self._device_policy(resources)
        if wanted or policy:
            with self._still() if policy else contextlib.nullcontext():
                self._set((*wanted, *policy))
                super().update(resources)
            return
        super().update(resources)

    @contextlib.contextmanager
    def _still(self) -> Generator[None]:
        """Freeze meanwhile: systemd forbids every device before it allows some again."""
        already = self.frozen()
        if not already:
            self.freeze()
        try:
            yield
        finally:
            if not already:
                self.thaw()

    def _systemd(self) -> Systemd:
        text = self._bus.call(_PROPERTIES, "Get", "ss", MANAGER.interface, "Version", returns="vs")
        return Systemd(version(text), self.unified())

    def _unit_properties(self, resources: Mapping[str, Any], pid: int) -> tuple[Property, ...]:
        about = self._systemd()
        io = "IOAccounting" if about.unified else "BlockIOAccounting"
        accounting = ("CPUAccounting", "MemoryAccounting", "TasksAccounting", io)
        found = [
            Property("Description", "s", f"container {self.unit.removesuffix('.scope')}"),
            Property("Slice", "s", self._slice),
            Property("Delegate", "b", value=True),
            Property("DefaultDependencies", "b", value=False),
            Property("PIDs", "au", [pid]),
            *(Property(name, "b", value=True) for name in accounting),
        ]
        if about.version >= _COLLECT:
            found.append(Property("CollectMode", "s", "inactive-or-failed"))
        found.extend(properties.resources(resources, about, self._read_unified))
        found.extend(self._device_policy(resources))
        found.extend(self._more)
        return tuple(found)

    def _properties(self, resources: Mapping[str, Any]) -> Sequence[Property]:
        return properties.resources(resources, self._systemd(), self._read_unified)

    def _device_policy(self, resources: Mapping[str, Any]) -> tuple[Property, ...]:
        return () if self._of("devices") is None else properties.device_policy(resources)

    def _read_unified(self, file: str) -> str | None:
        return limits.reader(self.directories().get("unified", "/"))(file)

    def join_paths(self) -> Join:
        """Return the way in; a user's is by systemd, which may where the user may not.

        Whoever moves a process must be allowed to write to the cgroup above both places, and that
        is the host's (cgroup-v2.rst, "Delegation Containment").
        """
        return Join(None, (), attach=self._attach) if self.user else super().join_paths()

    def _attach(self, pid: int) -> None:
        below = self.inside.get("unified", "")
        self._call("AttachProcessesToUnit", "ssau", self.unit, below, [pid])

    # Talking to systemd

    @property
    def _bus(self) -> Bus:
        if self._connection is None:
            self._connection = Bus(user=self.user)
        return self._connection

    def _start(self, wanted: Sequence[Property]) -> None:
        try:
            self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", properties.whole(wanted), [])
        except AlreadyExists:
            # It may have failed once, and nobody has cleared that away.
            self._reset()
            self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", properties.whole(wanted), [])

    def _stop(self) -> None:
        with contextlib.suppress(NotFound):
            self._job("StopUnit", "ss")
        self._reset()

    def _job(self, member: str, signature: str, *values: object) -> None:
        """Start a job on the unit, and wait until it is done."""

        def start() -> str:
            return self._call(member, signature, self.unit, "replace", *values, returns="o")

        try:
            result = self._bus.wait_for_job(start, seconds=_JOB_SECONDS)
        except DeadlineExceeded:
            self._reset()
            raise
        if result != "done":
            self._reset()
            raise Internal(f"systemd: {member} of {self.unit} ended with {result!r}")

    def _set(self, wanted: Sequence[Property]) -> None:
        self._call("SetUnitProperties", "sba(sv)", self.unit, True, properties.whole(wanted))  # noqa: FBT003 - until the next boot

    def _reset(self) -> None:
        with contextlib.suppress(NotFound):
            self._call("ResetFailedUnit", "s", self.unit)

    def _call(self, member: str, signature: str, *values: object, returns: str = "") -> str:
        try:
            return self._bus.call(MANAGER, member, signature, *values, returns=returns)
        except Refused as error:
            kind = _KINDS.get(error.name, Internal)
            raise kind(f"systemd: {member} of {self.unit}: {error}") from None

    # Removing

    def delete(self) -> None:
        """Kill what is left, have systemd stop the scope, and remove the other directories."""
        self._end_placeholder()
        self.kill()
        if self.frozen():
            with contextlib.suppress(FailedPrecondition):  # gone, now that it is empty
                self.thaw()  # systemd waits for processes to end
        try:
            self._stop()
        finally:
            super().delete()
            self.disconnect()

    def _end_placeholder(self) -> None:
        if self._placeholder is not None:
            self._placeholder.end()
            self._placeholder = None
