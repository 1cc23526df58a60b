"""The messages that are exchanged with containerd: classes made of the shipped descriptors, typed.

The descriptors are compiled while developing, in this directory, by
`python -m grpc_tools.protoc -I. --include_imports --descriptor_set_out=descriptors.binpb *.proto`.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from collectors.wire import protobuf

_DESCRIPTORS = os.path.join(os.path.dirname(__file__), "descriptors.binpb")

STATUS_CREATED, STATUS_RUNNING, STATUS_STOPPED, STATUS_PAUSED, STATUS_PAUSING = range(1, 6)
"""`Process.status` of a task; 0 is unknown."""


class Timestamp(Protocol):
    """google.protobuf.Timestamp: 0 seconds is "not set"."""

    seconds: int
    nanos: int


class Any(Protocol):
    """google.protobuf.Any."""

    type_url: str
    value: bytes


class Named(Protocol):
    """A message of which the name is read: a namespace, a runtime."""

    name: str


class Container(Protocol):
    """One container record."""

    id: str
    labels: Mapping[str, str]
    image: str
    runtime: Named
    spec: Any
    snapshotter: str
    snapshot_key: str
    created_at: Timestamp
    updated_at: Timestamp


class Task(Protocol):
    """The running instance of a container."""

    id: str
    """The container's: of a list's entries `container_id` is empty."""
    pid: int
    status: int
    exit_status: int
    exited_at: Timestamp


class Descriptor(Protocol):
    """An OCI descriptor."""

    digest: str


class Image(Protocol):
    """One image by its name."""

    name: str
    target: Descriptor


class SnapshotInfo(Protocol):
    """One snapshot."""

    parent: str


class Mount(Protocol):
    """One mount that makes a snapshot visible."""

    type: str
    source: str
    options: Sequence[str]


def unpack(packed: Any) -> dict[str, object]:
    """Return a packed event by its fields' names; of a kind that is not known only its `type`."""
    name = packed.type_url.rpartition("/")[2]
    try:
        whole = message(name).FromString(packed.value)
    except (KeyError, DecodeError):
        return {"type": name}
    return json_format.MessageToDict(whole, preserving_proto_field_name=True)


def message(name: str) -> type[Message]:
    """Return the class of a message by its full name."""
    return protobuf.message(_DESCRIPTORS, name)
