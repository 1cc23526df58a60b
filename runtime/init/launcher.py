"""Clone a container's init, or one more process of it, straight into its namespaces and cgroups.

Only for a process without threads: the child is the same interpreter, which runs the steps of the
plan, waits for the start, and executes the command.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final, NamedTuple

from runtime import errors
from runtime.cgroups.join import Join
from runtime.cgroups.manager import Manager
from runtime.errors import FailedPrecondition, Internal
from runtime.formats.idmap import Extent
from runtime.formats.spec import CGROUP_TYPES, Spec, entries, section
from runtime.init import hooks, namespaces
from runtime.init.job import Filter, Identity, Job, Manner
from runtime.init.launch import Answers, Launch, Launched, Place, Streams
from runtime.init.reserve import spares
from runtime.init.step import explain
from runtime.linux import constants, idmap

if TYPE_CHECKING:
    from runtime.init import devices

__all__ = ["Launched", "Parked", "Streams", "create", "exec_process"]


_INHERITED: Final = (
    "apparmorProfile",
    "capabilities",
    "cwd",
    "env",
    "execCPUAffinity",
    "ioPriority",
    "noNewPrivileges",
    "oomScoreAdj",
    "rlimits",
    "scheduler",
    "selinuxLabel",
)
"""What one more process takes over from the container's own where it does not say otherwise."""


@contextlib.contextmanager
def ahead(
    spec: Spec,
    *,
    rootfs: str,
    cgroup: Manager,
    seccomp_cache: str | None = None,
    parked: "Parked | None" = None,
    manner: Manner = Manner(),  # noqa: B008 - immutable
) -> "Generator[Callable[[Manager, Streams | None], Launched]]":
    """Have a spare, if there is one, begin with a container whose cgroups are to be made.

    They are made inside. What it gives is `create` with the same arguments, for the cgroups as they
    were made. At the end a spare that has not become the container's init is no more.
    """
    who = Identity(_name(cgroup), os.path.dirname(rootfs))
    if parked is not None:
        who, manner = parked.who, parked.manner
    for each in spares:
        each.begin(spec, _job(spec, rootfs, cgroup, seccomp_cache, who, manner))

    def make(cgroup: Manager, stdio: Streams | None) -> Launched:
        return create(
            spec,
            rootfs=rootfs,
            cgroup=cgroup,
            stdio=stdio,
            seccomp_cache=seccomp_cache,
            parked=parked,
            manner=manner,
        )

    try:
        yield make
    finally:
        drop()


def drop() -> None:
    """End the spare, if there is one."""
    while spares:
        spares.pop().drop()


def _job(
    spec: Spec, rootfs: str, cgroup: Manager, cache: str | None, who: Identity, manner: Manner
) -> Job:
    return Job(rootfs, cgroup.visible(), _filter(spec, cache=cache), who, manner)


def create(  # noqa: PLR0913 - the container, what belongs to it, and how it is made
    spec: Spec,
    *,
    rootfs: str,
    cgroup: Manager,
    stdio: Streams | None,
    seccomp_cache: str | None = None,
    parked: "Parked | None" = None,
    manner: Manner = Manner(),  # noqa: B008 - immutable
) -> Launched:
    """Return a container's init that waits for its start.

    Its id, for hooks and its keyring, is the last part of the cgroup's path, its bundle the
    directory that `rootfs` is in, unless `parked` says otherwise. The spec's hooks up to poststart
    are run; one of poststart that fails ends the container.
    `rootfs` is the absolute path of the mounted root, `seccomp_cache` a directory where compiled
    filters are kept (without it each start from cold takes 25 ms longer). Whatever fails raises
    with the step's name, and leaves no process and no mount. `manner` is that of `parked` if given.
    """
    who = Identity(_name(cgroup), os.path.dirname(rootfs))
    if parked is not None:
        who, manner = parked.who, parked.manner
    begun = spares[0].job(spec, cgroup) if spares else None
    job = begun or _job(spec, rootfs, cgroup, seccomp_cache, who, manner)
    _check_streams(spec["process"], stdio)
    _check_class(spec, cgroup)
    _give(spec, cgroup)
    moved = _devices(spec)
    answers = _answers(spec, who, parked, moved)
    try:
        launched = _of_spare(spec, job, cgroup, stdio=stdio, answers=answers)
        if launched is None:
            launched = _clone(spec, job, cgroup, stdio=stdio, answers=answers)
    except BaseException as error:
        if moved is not None:
            moved.give_back()
        if isinstance(error, OSError):
            raise Internal(explain("clone the container's init", error)) from error
        raise
    finally:
        if moved is not None:
            moved.close()
    if hooks.of(spec, "poststart"):
        launched.afterwards(lambda pid: after_start(spec, who, pid))
    return launched


def _of_spare(
    spec: Spec, job: Job, cgroup: Manager, *, stdio: Streams | None, answers: Answers
) -> Launched | None:
    """Return the init that a spare has become; None if there is none that can."""
    if not spares or not spares[0].begin(spec, job):
        return None
    taken = spares.pop()
    try:
        return taken.take(job, cgroup, stdio=stdio, answers=answers)
    finally:
        taken.drop()


def _clone(
    spec: Spec, job: Job, cgroup: Manager, *, stdio: Streams | None, answers: Answers
) -> Launched:
    """Clone the init from this process."""
    from runtime.init import joining, plan  # noqa: PLC0415 - a spare does without

    wanted = namespaces.of(spec)
    steps = plan.of(job, spec)
    maps = id_maps(spec)
    launch = Launch(
        steps,
        stdio=stdio,
        maps=maps,
        rlimits=plan.rlimits(spec["process"]) if maps is not None else (),
        answers=answers,
    )
    descriptor = None
    if "pid" in wanted.joined and "user" not in wanted.joined and not _may_come_back():
        steps.insert(1, joining.JoinPids("pid", wanted.joined["pid"]))
    elif "pid" in wanted.joined and "user" not in wanted.joined:
        descriptor = os.open(wanted.joined["pid"], os.O_RDONLY | os.O_CLOEXEC)
    # Who joins a user namespace makes the others in there.
    flags = 0 if "user" in wanted.joined else wanted.clone_flags
    try:
        place = Place(flags, descriptor, namespaces.clocks(spec), job.manner.sibling)
        return launch.run(cgroup.join_paths(), place)
    finally:
        if descriptor is not None:
            os.close(descriptor)


class Parked(NamedTuple):
    """What makes a container whose init outlives the process that made it."""

    who: Identity
    manner: Manner
    on_ready: Callable[[int], None]
    """Called with the init's pid when all is set up; if it raises, the init ends."""


def _devices(spec: Spec) -> "devices.Moved | None":
    if not section(spec, "linux").get("netDevices"):
        return None
    from runtime.init import devices  # noqa: PLC0415 - few containers need it

    return devices.Moved(spec)


def _answers(
    spec: Spec, who: Identity, parked: Parked | None, moved: "devices.Moved | None"
) -> Answers:
    def before(pid: int) -> None:
        if moved is not None:
            moved.move(pid)
        _before(spec, who, pid)

    answers = Answers(on_namespaces=before, on_listener=_listener(spec, who))
    return answers if parked is None else answers._replace(on_ready=parked.on_ready)


def _before(spec: Spec, who: Identity, pid: int) -> None:
    """Run the hooks that belong between the namespaces and the pivot, outside."""
    told = hooks.state(
        spec, container_id=who.container_id, bundle=who.bundle, pid=pid, status="creating"
    )
    for kind in ("prestart", "createRuntime"):
        hooks.run(hooks.of(spec, kind), kind, told)


def after_start(spec: Spec, who: Identity, pid: int) -> None:
    """Run the hooks after the start; raises for one that fails: the container must end then."""
    told = hooks.state(
        spec, container_id=who.container_id, bundle=who.bundle, pid=pid, status="running"
    )
    hooks.run(hooks.of(spec, "poststart"), "poststart", told)


def after_end(spec: Spec, who: Identity, *, warn: Callable[[str], None]) -> None:
    """Run the hooks after the end; one that fails is told of and stops nothing (runtime.md)."""
    told = hooks.state(
        spec, container_id=who.container_id, bundle=who.bundle, pid=0, status="stopped"
    )
    hooks.run(hooks.of(spec, "poststop"), "poststop", told, failed=lambda error: warn(str(error)))


def exec_process(  # noqa: PLR0913 - two processes, each with what belongs to it
    process: Spec,
    spec: Spec,
    *,
    init_pid: int,
    init_pidfd: int,
    cgroup: Manager,
    stdio: Streams | None,
    seccomp_cache: str | None = None,
    manner: Manner = Manner(),  # noqa: B008 - immutable
) -> Launched:
    """Return one more process in a running container, already executing its command.

    It is cloned into the pid namespace and the cgroups, and joins the other namespaces of the init;
    it is a child of the caller, or its sibling (see `job.Manner`). `process` is an OCI process: what it lacks of capabilities and
    no_new_privs is the container's.
    """
    from runtime.init import joining, plan  # noqa: PLC0415 - a start may do without

    if cgroup.frozen():
        raise FailedPrecondition("the container is frozen")
    flags = namespaces.differing(init_pid)
    outside = flags & constants.CLONE_NEWPID if _may_come_back() else 0
    whole = {key: spec["process"].get(key) for key in _INHERITED} | {
        key: value for key, value in process.items() if value is not None
    }
    steps = plan.enter(
        whole,
        spec,
        joined=joining.JoinProcess(init_pid, init_pidfd, flags & ~outside),
        seccomp=_filter(spec, cache=seccomp_cache),
        name=plan.keyring(manner.name or _name(cgroup)),
        manner=manner,
    )
    _check_streams(whole, stdio)
    who = Identity(manner.name or _name(cgroup), "")
    launch = Launch(steps, stdio=stdio, answers=Answers(on_listener=_listener(spec, who)))
    place = Place(pid_namespace=init_pidfd if outside else None, sibling=manner.sibling)
    try:
        try:
            return launch.run(cgroup.join_paths(), place)
        except OSError as error:
            if error.filename != "clone3" or error.errno != errno.EBUSY:
                raise
        # The container has cgroups of its own below: it is in one of them.
        return launch.run(_beside(cgroup, init_pid), place)
    except OSError as error:
        raise Internal(explain("clone a process", error)) from error


def _name(cgroup: Manager) -> str:
    return cgroup.name or cgroup.path.rsplit("/", 1)[-1]


def _give(spec: Spec, cgroup: Manager) -> None:
    owner = _owner(spec)
    if owner is not None:
        from runtime.cgroups import placing  # noqa: PLC0415 - few containers need it

        placing.give(cgroup, owner)


def _owner(spec: Spec) -> int | None:
    """Return the uid that the container's cgroup is to be of; None if it stays whose it is.

    It is given to the process's user with a cgroup namespace of its own and a writable mount
    (config-linux.md, "Cgroup ownership").
    """
    writable = any(
        each.get("type") in CGROUP_TYPES and "ro" not in entries(each, "options")
        for each in entries(spec, "mounts")
    )
    if not writable or "cgroup" not in namespaces.of(spec).new:
        return None
    uid = section(spec["process"], "user").get("uid") or 0
    maps = id_maps(spec)
    if maps is None:
        return uid or None
    found = (each for each in maps[0] if each.inside <= uid < each.inside + each.size)
    extent = next(found, None)
    return None if extent is None else extent.outside + uid - extent.inside


def _may_come_back() -> bool:
    """Tell whether this process could go into a pid namespace, to clone there, and come back.

    That takes rights over its own, which root of another user namespace and users lack; then the
    child goes in and clones itself once more.
    """
    return os.geteuid() == 0 and not idmap.nested()


def id_maps(spec: Spec) -> tuple[tuple[Extent, ...], tuple[Extent, ...]] | None:
    """Return the uids and gids of a spec's new user namespace; None if it has none."""
    if "user" not in namespaces.of(spec).new:
        return None
    from runtime.init import layout  # noqa: PLC0415 - few containers need it

    linux = section(spec, "linux")
    maps = layout.extents(linux, "uidMappings"), layout.extents(linux, "gidMappings")
    for found, key in zip(maps, ("uidMappings", "gidMappings"), strict=True):
        if not found:
            raise errors.InvalidArgument(f"linux.{key}: a user namespace needs a map")
    return maps


def _filter(spec: Spec, *, cache: str | None) -> Filter | None:
    profile = section(spec, "linux").get("seccomp")
    if not profile:
        return None
    from runtime.linux import seccomp  # noqa: PLC0415 - not all containers have one

    program = seccomp.program(profile, cache=cache)
    return Filter(program, seccomp.flags(profile), seccomp.listens(profile))


def _listener(spec: Spec, who: Identity) -> Callable[[int, int], None] | None:
    """Return what hands a filter's listener to the agent that the spec names, if it names one."""
    profile = section(section(spec, "linux"), "seccomp")
    if not profile:
        return None
    from runtime.init import agent  # noqa: PLC0415 - few containers have one
    from runtime.linux import seccomp  # noqa: PLC0415 - as above

    if not seccomp.listens(profile):
        return None

    def hand_over(pid: int, listener: int) -> None:
        told = hooks.state(
            spec, container_id=who.container_id, bundle=who.bundle, pid=pid, status="creating"
        )
        agent.tell(profile, told, listener)

    return hand_over


def _check_streams(process: Spec, stdio: Streams | None) -> None:
    if bool(process.get("terminal")) == (stdio is not None):
        raise errors.InvalidArgument(
            "process.terminal: a terminal takes no streams, and no terminal does"
        )


def _check_class(spec: Spec, cgroup: Manager) -> None:
    if section(spec, "linux").get("intelRdt") is not None and not cgroup.entries:
        raise errors.Unimplemented("linux.intelRdt: is not supported")


def _beside(cgroup: Manager, pid: int) -> Join:
    """Return the way in, where v2's is the cgroup that the init is in now."""
    join = cgroup.join_paths()
    directory = cgroup.second_directory_of(pid)
    if join.into is not None and directory is not None:
        os.close(join.into)
        join.into = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return join
