"""The messages of the Container Runtime Interface: classes made of the shipped descriptors, typed.

The descriptors are compiled while developing, in this directory, by
`python -m grpc_tools.protoc -I. --include_imports --descriptor_set_out=descriptors.binpb *.proto`.
"""

import os
from collections.abc import Mapping
from typing import Protocol

from google.protobuf.message import Message

from collectors.wire import protobuf

_DESCRIPTORS = os.path.join(os.path.dirname(__file__), "descriptors.binpb")

CREATED, RUNNING, EXITED, UNKNOWN = range(4)
"""`Container.state`."""
READY, NOT_READY = range(2)
"""`Sandbox.state`."""


class Version(Protocol):
    """Who answers."""

    runtime_name: str
    runtime_version: str


class SandboxMetadata(Protocol):
    """A pod's name, as Kubernetes has it."""

    name: str
    uid: str
    namespace: str


class Sandbox(Protocol):
    """What a pod's containers share; times are nanoseconds since the epoch."""

    id: str
    metadata: SandboxMetadata
    state: int
    created_at: int
    labels: Mapping[str, str]


class ContainerMetadata(Protocol):
    """A container's name within its pod."""

    name: str


class ImageSpec(Protocol):
    """An image as it was asked for; `user_specified_image` only of newer servers."""

    image: str
    user_specified_image: str


class Container(Protocol):
    """One container of a list."""

    id: str
    pod_sandbox_id: str
    metadata: ContainerMetadata
    image: ImageSpec
    image_ref: str
    state: int
    created_at: int
    labels: Mapping[str, str]


class Status(Protocol):
    """What a list does not say of a container; a time that has not come is 0."""

    started_at: int
    finished_at: int
    exit_code: int
    reason: str
    message: str


class StatusResponse(Protocol):
    """A status, and what the server adds for people: JSON by name, in containerd under `info`."""

    status: Status
    info: Mapping[str, str]


def message(name: str) -> type[Message]:
    """Return the class of a message by its name in runtime.v1."""
    return protobuf.message(_DESCRIPTORS, f"runtime.v1.{name}")
