"""`features`: what this runtime can do, as the specification has it (features.md, features-linux.md)."""

import json
import sys
from typing import Any

from runtime.command.arguments import Request
from runtime.command.table import VERSION
from runtime.formats import capabilities
from runtime.init import attributes, options
from runtime.linux import constants, seccomp
from runtime.oci.shapes import HOOKS


def features(_request: Request) -> int:
    """Print it."""
    sys.stdout.write(json.dumps(describe(), indent=2) + "\n")
    return 0


def describe() -> dict[str, Any]:
    """Return it; nothing of it depends on the host."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.3.0",
        "hooks": list(HOOKS),
        "mountOptions": list(options.names()),
        "linux": {
            "namespaces": sorted(constants.NAMESPACES),
            "capabilities": list(capabilities.NAMES),
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": True,
                "systemdUser": True,
                "rdma": True,
            },
            "seccomp": {"enabled": True, **seccomp.known()},
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
            "memoryPolicy": {
                "modes": list(attributes.MEMORY_MODES),
                "flags": sorted(attributes.MEMORY_FLAGS),
            },
        },
        "annotations": {"org.cinspect.oci.version": VERSION},
    }
