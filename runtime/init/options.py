"""Mount options of the OCI spec as flags and data (mount(8), mount_setattr(2))."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from runtime.errors import InvalidArgument
from runtime.linux import constants as c

_FLAGS: Final = {
    "ro": c.MS_RDONLY,
    "nosuid": c.MS_NOSUID,
    "nodev": c.MS_NODEV,
    "noexec": c.MS_NOEXEC,
    "sync": c.MS_SYNCHRONOUS,
    "dirsync": c.MS_DIRSYNC,
    "mand": c.MS_MANDLOCK,
    "noatime": c.MS_NOATIME,
    "nodiratime": c.MS_NODIRATIME,
    "relatime": c.MS_RELATIME,
    "strictatime": c.MS_STRICTATIME,
    "iversion": c.MS_I_VERSION,
    "lazytime": c.MS_LAZYTIME,
    "silent": c.MS_SILENT,
    "nosymfollow": c.MS_NOSYMFOLLOW,
    "acl": c.MS_POSIXACL,
}
_OPPOSITES: Final = {
    "rw": "ro",
    "suid": "nosuid",
    "dev": "nodev",
    "exec": "noexec",
    "async": "sync",
    "nomand": "mand",
    "atime": "noatime",
    "diratime": "nodiratime",
    "norelatime": "relatime",
    "nostrictatime": "strictatime",
    "noiversion": "iversion",
    "nolazytime": "lazytime",
    "loud": "silent",
    "symfollow": "nosymfollow",
    "noacl": "acl",
}
_PROPAGATION: Final = {
    "private": c.MS_PRIVATE,
    "shared": c.MS_SHARED,
    "slave": c.MS_SLAVE,
    "unbindable": c.MS_UNBINDABLE,
    "rprivate": c.MS_PRIVATE | c.MS_REC,
    "rshared": c.MS_SHARED | c.MS_REC,
    "rslave": c.MS_SLAVE | c.MS_REC,
    "runbindable": c.MS_UNBINDABLE | c.MS_REC,
}
_ATTRIBUTES: Final = {
    "ro": c.MOUNT_ATTR_RDONLY,
    "nosuid": c.MOUNT_ATTR_NOSUID,
    "nodev": c.MOUNT_ATTR_NODEV,
    "noexec": c.MOUNT_ATTR_NOEXEC,
    "nosymfollow": c.MOUNT_ATTR_NOSYMFOLLOW,
    "nodiratime": c.MOUNT_ATTR_NODIRATIME,
}
_TIMES: Final = {
    "noatime": c.MOUNT_ATTR_NOATIME,
    "relatime": 0,
    "strictatime": c.MOUNT_ATTR_STRICTATIME,
}
_WORDS: Final = frozenset({"bind", "rbind", "idmap", "ridmap", "tmpcopyup"})
_IGNORED: Final = frozenset({"defaults", "nofail", "auto", "noauto", "user", "nouser", "_netdev"})


class Attributes(NamedTuple):
    """What mount_setattr changes: bits to set and bits to clear."""

    set: int
    clear: int


class Options(NamedTuple):
    """A mount's options in the kernel's forms."""

    flags: int
    """MS_* for a new filesystem."""
    attributes: Attributes
    """For one mount (a bind)."""
    recursive: Attributes
    """For the mount and all below it: `rro` and its like."""
    propagation: int
    bind: bool
    rbind: bool
    idmap: bool
    idmap_recursive: bool
    copy_up: bool
    data: str
    label: str = ""
    """SELinux's context of all files (`linux.mountLabel`)."""


def parse(options: Sequence[str]) -> Options:
    """Return the options; those that are not the kernel's own go to the filesystem as `data`."""
    chosen: dict[str, bool] = {}
    recursive: dict[str, bool] = {}
    propagation = 0
    data: list[str] = []
    words: set[str] = set()
    for option in options:
        name = _OPPOSITES.get(option, option)
        inner = option.removeprefix("r") if option.startswith("r") else ""
        inner_name = _OPPOSITES.get(inner, inner)
        if name in _FLAGS:
            chosen.pop(name, None)
            chosen[name] = name == option
        elif option in _PROPAGATION:
            propagation = _PROPAGATION[option]
        elif inner_name in _ATTRIBUTES or inner_name in _TIMES:
            recursive[inner_name] = inner_name == inner
        elif option in _WORDS:
            words.add(option)
        elif option not in _IGNORED:
            data.append(option)
    if {"mand", "iversion"} & chosen.keys() and "rbind" in words:
        raise InvalidArgument("mount options mand and iversion are not for bind mounts")
    return Options(
        flags=sum(_FLAGS[name] for name, wanted in chosen.items() if wanted),
        attributes=_attributes(chosen),
        recursive=_attributes(recursive),
        propagation=propagation,
        bind=bool(words & {"bind", "rbind"}),
        rbind="rbind" in words,
        idmap=bool(words & {"idmap", "ridmap"}),
        idmap_recursive="ridmap" in words,
        copy_up="tmpcopyup" in words,
        data=",".join(data),
    )


def names() -> tuple[str, ...]:
    """Return every option that is not passed on to a filesystem, sorted."""
    recursive = {
        f"r{name}"
        for name in (*_ATTRIBUTES, *_TIMES, *_OPPOSITES)
        if _OPPOSITES.get(name, name) in _ATTRIBUTES.keys() | _TIMES.keys()
    }
    known = _FLAGS.keys() | _OPPOSITES.keys() | _PROPAGATION.keys() | recursive | _WORDS | _IGNORED
    return tuple(sorted(known))


def _attributes(chosen: dict[str, bool]) -> Attributes:
    wanted = clear = 0
    for name, on in chosen.items():
        if name in _ATTRIBUTES:
            wanted |= _ATTRIBUTES[name] if on else 0
            clear |= 0 if on else _ATTRIBUTES[name]
        elif name in _TIMES and on:
            wanted |= _TIMES[name]
            clear |= c.MOUNT_ATTR_ATIME  # all of the field, to set one of its values
    return Attributes(wanted, clear)
