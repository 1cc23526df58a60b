"""A cgroup's directories in one hierarchy: made so that processes can be there, walked, removed."""

import contextlib
import errno
import os

from runtime.cgroups.hierarchy import Hierarchy, read, write
from runtime.errors import FailedPrecondition, Internal, PermissionDenied

_REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS}
_ATTEMPTS = 5


def base(hierarchy: Hierarchy) -> str:
    """Return the directory that paths are below: the visible root, or if that is not ours, our own."""
    root = hierarchy.mountpoint.rstrip("/")
    return root if os.access(root, os.W_OK) else root + hierarchy.own.rstrip("/")


def make(base: str, path: str, *, made: list[str]) -> None:
    """Make a cgroup and those above it; what was not there before is added to `made`.

    Raises `PermissionDenied` or `Internal` with the directory.
    """
    for attempt in range(_ATTEMPTS):
        try:
            _make(base, path, made=made)
        except FileNotFoundError as error:  # somebody has removed an empty parent meanwhile
            if attempt == _ATTEMPTS - 1:
                raise Internal(
                    f"{error.filename}: cannot make the cgroup: {error.strerror}"
                ) from error
        else:
            return


def _make(base: str, path: str, *, made: list[str]) -> None:
    directory = base
    for part in path.strip("/").split("/"):
        directory = f"{directory}/{part}"
        try:
            os.mkdir(directory, 0o755)
        except FileNotFoundError:
            raise
        except FileExistsError:
            continue
        except OSError as error:
            kind = PermissionDenied if error.errno in _REFUSALS else Internal
            raise kind(f"{directory}: cannot make the cgroup: {error.strerror}") from error
        made.append(directory)


def inherit_cpuset(base: str, path: str) -> None:
    """Give each level the cpus and memory nodes of the one above: v1 begins with none."""
    directory = base
    for part in path.strip("/").split("/"):
        parent, directory = directory, f"{directory}/{part}"
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not read(f"{directory}/{file}").strip():
                write(f"{directory}/{file}", read(f"{parent}/{file}").decode().strip())


def enable(base: str, path: str, *, controllers: frozenset[str]) -> None:
    """Enable v2's controllers from the root down to the parent; what fails is found later."""
    directory = base
    for part in path.strip("/").split("/"):
        offered = read(f"{directory}/cgroup.controllers").decode().split()
        enabled = read(f"{directory}/cgroup.subtree_control").decode().split()
        if absent := controllers & set(offered) - set(enabled):
            _enable(directory, absent)
        directory = f"{directory}/{part}"


def _enable(directory: str, controllers: set[str] | frozenset[str]) -> None:
    if _inhabited(directory):
        return
    for controller in controllers:
        with contextlib.suppress(OSError):
            write(f"{directory}/cgroup.subtree_control", f"+{controller}")


def _inhabited(directory: str) -> bool:
    """Tell whether processes are in a cgroup that is not the root.

    There the kernel would take `cpu` and `pids`, but for threads: none below could have processes any
    more (cgroup-v2.rst, "Threads").
    """
    return os.path.exists(f"{directory}/cgroup.type") and bool(read(f"{directory}/cgroup.procs"))


def refusal(base: str, path: str, controller: str) -> str:
    """Return why `enable` could not enable a controller that the root offers."""
    directory = base
    for part in path.strip("/").split("/"):
        control = f"{directory}/cgroup.subtree_control"
        if controller not in read(control).decode().split():
            if not os.access(control, os.W_OK):
                return f"is not delegated: {control} lacks it, and is not this user's"
            break
        directory = f"{directory}/{part}"
    return f"cannot be enabled below {directory}: processes are in it"


def check_domain(directory: str) -> None:
    """Raise `FailedPrecondition` for a v2 cgroup that takes threads, but no processes.

    Below a threaded cgroup there are none that do (cgroup-v2.rst, "Threads").
    """
    try:
        kind = read(f"{directory}/cgroup.type").decode().strip()
    except FileNotFoundError:  # the root has none
        return
    if kind in {"threaded", "domain invalid"}:
        raise FailedPrecondition(
            f"linux.cgroupsPath: {directory} is {kind!r}: there can be no processes in it below "
            "a threaded cgroup"
        )


def below(top: str) -> list[str]:
    """Return a cgroup and all below it, parents first."""
    result = [top]
    for directory in result:
        try:
            with os.scandir(directory) as entries:
                result.extend(each.path for each in entries if each.is_dir(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return result


def pids(top: str) -> set[int]:
    """Return the host's pids of the processes in a cgroup and below; of a gone one, none."""
    found: set[int] = set()
    for directory in below(top):
        try:
            found.update(int(each) for each in read(f"{directory}/cgroup.procs").split())
        except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
            continue
        except OSError as error:
            if error.errno != 95:  # EOPNOTSUPP: a threaded cgroup; its root lists them
                raise
    return found - {0}


def remove_one(directory: str) -> None:
    """Remove a cgroup if it can be removed now."""
    removed(directory)


def removed(directory: str) -> bool:
    """Remove a cgroup if it can be removed now; tell whether there is none any more."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
