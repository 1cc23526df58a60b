"""Walk a cgroup and what is below it in one hierarchy."""

import os

from runtime.cgroups.hierarchy import read


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
