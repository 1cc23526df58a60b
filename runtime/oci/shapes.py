"""The shape of an OCI config.json as data: which property is what (config.md, config-linux.md).

A name that ends in `!` is required.
"""

from typing import Any, Final, NamedTuple

from runtime.linux import constants


class Number(NamedTuple):
    """An integer from `least` to `most`."""

    least: int
    most: int


class Absolute(NamedTuple):
    """A path that begins with a slash."""


class MapOf(NamedTuple):
    """An object of any keys."""

    value: Any


CAPABILITY_SETS: Final = ("bounding", "effective", "permitted", "inheritable", "ambient")
_U32: Final = Number(0, (1 << 32) - 1)
_I32: Final = Number(-(1 << 31), (1 << 31) - 1)
_U64: Final = Number(0, (1 << 64) - 1)
_I64: Final = Number(-(1 << 63), (1 << 64) - 1)
_ID: Final = Number(0, (1 << 32) - 2)  # the one above means "unchanged" to setuid's family
_ABSOLUTE: Final = Absolute()
_TEXTS: Final = [str]

_HOOK: Final = {"path!": _ABSOLUTE, "args": _TEXTS, "env": _TEXTS, "timeout": Number(1, 1 << 31)}
_MAP: Final = [{"containerID!": _ID, "hostID!": _ID, "size!": Number(1, (1 << 32) - 1)}]
_RATES: Final = [{"major!": _U32, "minor!": _U32, "rate!": _U64}]
_DEVICE_NUMBER: Final = Number(-1, (1 << 32) - 1)
_MAJOR, _MINOR = Number(0, (1 << 12) - 1), Number(0, (1 << 20) - 1)
"""What a node can have (linux/kdev_t.h): mknod(2) would take the lower bits of more for another device."""

HOOKS: Final = (
    *("prestart", "createRuntime", "createContainer"),
    *("startContainer", "poststart", "poststop"),
)

RESOURCES: Final = {
    "devices": [
        {
            "allow!": bool,
            "type": frozenset({"a", "b", "c", ""}),
            "major": _DEVICE_NUMBER,
            "minor": _DEVICE_NUMBER,
            "access": str,
        }
    ],
    "memory": {
        **dict.fromkeys(("limit", "reservation", "swap", "kernel", "kernelTCP"), _I64),
        "swappiness": Number(0, 200),
        "disableOOMKiller": bool,
        "useHierarchy": bool,
        "checkBeforeUpdate": bool,
    },
    "cpu": {
        "shares": _U64,
        "quota": _I64,
        "burst": _U64,
        "period": _U64,
        "realtimeRuntime": _I64,
        "realtimePeriod": _U64,
        "cpus": str,
        "mems": str,
        "idle": _I64,
    },
    "pids": {"limit": _I64},
    "blockIO": {
        "weight": Number(0, 65535),
        "leafWeight": Number(0, 65535),
        "weightDevice": [
            {
                "major!": _U32,
                "minor!": _U32,
                "weight": Number(0, 65535),
                "leafWeight": Number(0, 65535),
            }
        ],
        **dict.fromkeys(
            (
                "throttleReadBpsDevice",
                "throttleWriteBpsDevice",
                "throttleReadIOPSDevice",
                "throttleWriteIOPSDevice",
            ),
            _RATES,
        ),
    },
    "hugepageLimits": [{"pageSize!": str, "limit!": _U64}],
    "network": {"classID": _U32, "priorities": [{"name!": str, "priority!": _U32}]},
    "rdma": MapOf({"hcaHandles": _U32, "hcaObjects": _U32}),
    "unified": MapOf(str),
}
"""linux.resources (config-linux.md, "Control groups")."""

PROCESS: Final = {
    "terminal": bool,
    "consoleSize": {"height!": Number(0, 65535), "width!": Number(0, 65535)},
    "cwd!": _ABSOLUTE,
    "env": _TEXTS,
    "args!": _TEXTS,
    "rlimits": [{"type!": str, "soft!": _U64, "hard!": _U64}],
    "apparmorProfile": str,
    "selinuxLabel": str,
    "capabilities": dict.fromkeys(CAPABILITY_SETS, _TEXTS),
    "noNewPrivileges": bool,
    "oomScoreAdj": Number(-1000, 1000),
    "scheduler": {
        "policy!": str,
        "nice": Number(-20, 19),
        "priority": _I32,
        "flags": _TEXTS,
        "runtime": _U64,
        "deadline": _U64,
        "period": _U64,
    },
    "ioPriority": {
        "class!": frozenset({"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"}),
        "priority": Number(0, 7),
    },
    "execCPUAffinity": {"initial": str, "final": str},
    "user": {
        "uid": _ID,
        "gid": _ID,
        "umask": Number(0, 0o777),
        "additionalGids": [_ID],
        "username": str,
    },
}
"""process (config.md, "Process")."""

_SECCOMP: Final = {
    "defaultAction!": str,
    "defaultErrnoRet": Number(0, 65535),
    "architectures": _TEXTS,
    "flags": _TEXTS,
    "listenerPath": str,
    "listenerMetadata": str,
    "syscalls": [
        {
            "names!": _TEXTS,
            "action!": str,
            "errnoRet": Number(0, 65535),
            "args": [{"index!": Number(0, 5), "value!": _U64, "valueTwo": _U64, "op!": str}],
        }
    ],
}
_LINUX: Final = {
    "namespaces": [{"type!": frozenset(constants.NAMESPACES), "path": str}],
    "uidMappings": _MAP,
    "gidMappings": _MAP,
    "timeOffsets": MapOf({"secs": _I64, "nanosecs": Number(0, 999_999_999)}),
    "devices": [
        {
            "type!": frozenset({"c", "b", "u", "p"}),
            "path!": _ABSOLUTE,
            "major": _MAJOR,
            "minor": _MINOR,
            "fileMode": Number(0, 0o7777),
            "uid": _ID,
            "gid": _ID,
        }
    ],
    "netDevices": MapOf({"name": str}),
    "cgroupsPath": str,
    "resources": RESOURCES,
    "rootfsPropagation": str,
    "seccomp": _SECCOMP,
    "sysctl": MapOf(str),
    "maskedPaths": [_ABSOLUTE],
    "readonlyPaths": [_ABSOLUTE],
    "mountLabel": str,
    "personality": {"domain!": str, "flags": _TEXTS},
    "memoryPolicy": {"mode!": str, "nodes": str, "flags": _TEXTS},
    "intelRdt": {
        "closID": str,
        "schemata": _TEXTS,
        "l3CacheSchema": str,
        "memBwSchema": str,
        "enableCMT": bool,
        "enableMBM": bool,
        "enableMonitoring": bool,
    },
}
CONFIG: Final = {
    "ociVersion!": str,
    "root!": {"path!": str, "readonly": bool},
    "hostname": str,
    "domainname": str,
    "annotations": MapOf(str),
    "mounts": [
        {
            "destination!": str,
            "type": str,
            "source": str,
            "options": _TEXTS,
            "uidMappings": _MAP,
            "gidMappings": _MAP,
        }
    ],
    "hooks": {kind: [_HOOK] for kind in HOOKS},
    "process": PROCESS,
    "linux": _LINUX,
}
