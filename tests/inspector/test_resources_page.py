"""The page about resources: each key that it names is printed, and each that is printed is named."""

import re
from pathlib import Path
from typing import Any

import pytest

from inspector.domains.cgroups import model, verdicts
from inspector.domains.network.model import NetworkUsage
from inspector.domains.tasks.model import Tasks
from inspector.output import schema

PAGE = Path(__file__).parents[2] / "docs" / "resources.md"
TEXT = PAGE.read_text()
SCHEMA: dict[str, Any] = schema.schema()
SECTIONS = ("cgroups", "tasks", "containers", "network", "network_namespaces", "taken_at")
NAMED = sorted(
    {
        word
        for word in re.findall(r"`([a-z_0-9.]+)`", TEXT.split("## Verdicts")[0])
        if word.split(".")[0] in SECTIONS and word not in {"cgroups", "tasks"}
    }
)
WHOLE = {
    "cgroups": model.Cgroup,
    "cgroups.cpu": model.Cpu,
    "cgroups.cpuset": model.Cpuset,
    "cgroups.memory": model.Memory,
    "cgroups.io.devices": model.IoDevice,
    "cgroups.io.limits": model.IoLimit,
    "cgroups.pids": model.Pids,
    "cgroups.hugetlb": model.Hugetlb,
    "cgroups.pressure.some": model.PressureLine,
    "tasks": Tasks,
    "containers.resources.network": NetworkUsage,
}


def steps(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a schema's node without its references, alternatives, lists and maps."""
    if "$ref" in node:
        return steps(SCHEMA["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node:
        return [found for one in node["anyOf"] for found in steps(one)]
    if isinstance(node.get("items"), dict):
        return steps(node["items"])
    if isinstance(node.get("additionalProperties"), dict):
        return [node, *steps(node["additionalProperties"])]
    return [node]


def exists(path: str) -> bool:
    nodes = steps(SCHEMA)
    for word in path.split("."):
        found = [node["properties"][word] for node in nodes if word in node.get("properties", {})]
        # A map's keys are the kernel's words: `stat.sock_bytes`.
        numbers = [
            node for node in nodes if node.get("additionalProperties") == {"type": "integer"}
        ]
        if not found and not numbers:
            return False
        nodes = [one for node in found for one in steps(node)]
    return True


@pytest.mark.parametrize("path", NAMED)
def test_a_key_that_is_named_is_printed(path: str):
    assert exists(path)


def test_a_key_that_is_not_there_is_noticed():
    assert not exists("cgroups.cpu.no_such_key")
    assert not exists("cgroups.pressure.some.no_such_key")
    assert len(NAMED) > 120


@pytest.mark.parametrize("prefix", WHOLE)
def test_a_key_that_is_printed_is_named(prefix: str):
    parts = {
        path.removeprefix(f"{prefix}.").split(".")[0]
        for path in NAMED
        if path.startswith(f"{prefix}.")
    }
    assert set(WHOLE[prefix].__struct_fields__) - parts == set()


def test_every_kind_of_verdict_is_listed_and_no_other():
    listed = set(
        re.findall(
            r"`([a-z_]+)`",
            "\n".join(
                line.split("|")[1]
                for line in TEXT.split("## Verdicts")[1].splitlines()
                if line.startswith("| `")
            ),
        )
    )
    source = Path(verdicts.__file__).read_text()
    told = set(re.findall(r'_finding\(\s*"([a-z_]+)"', source))
    told |= {f"{resource}_pressure" for resource in ("cpu", "memory", "io")}
    assert listed == told
