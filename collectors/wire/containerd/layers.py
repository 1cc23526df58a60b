"""Tells the layers below a snapshot: their diff ids, by way of the image's manifest and config.

The snapshot names the chain id of what it is upon, and a chain id says which layers there are, but
not in a way that can be turned back (OCI image-spec, config.md, "Layer ChainID"): so the image's
config is read, and believed if the chain id of its layers is that one.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from collectors.decoding import decode
from collectors.engine import ImageStep
from collectors.errors import CollectError
from collectors.wire import image_history

if TYPE_CHECKING:
    from collectors.wire.containerd.client import Client

_MANIFESTS = 64
"""Platforms of an index that are looked at."""


class _Descriptor(Struct):
    digest: str = ""


class _Manifest(Struct):
    """An image manifest has a `config`, an index has `manifests`."""

    config: _Descriptor | None = None
    manifests: list[_Descriptor] | None = None


class _RootFs(Struct):
    diff_ids: list[str] | None = None


class _Config(Struct):
    rootfs: _RootFs = field(default_factory=_RootFs)
    history: list[image_history.Step] | None = None


class Layers(Struct, frozen=True):
    """An image's layers: their diff ids, lowest first, and how the image was made."""

    diff_ids: tuple[str, ...] = ()
    history: tuple[ImageStep, ...] = ()


async def layers(client: "Client", namespace: str, target: str, chain: str) -> Layers:
    """Return the layers of a chain id; empty where the image is not (or no more) its."""
    try:
        top = decode(await client.content(namespace, target), _Manifest)
        below = [one.digest for one in (top.manifests or ())[:_MANIFESTS]]
        manifests = [top] if top.config is not None else []
    except (CollectError, msgspec.DecodeError):
        return Layers()
    for digest in below:
        try:
            manifests.append(decode(await client.content(namespace, digest), _Manifest))
        except (CollectError, msgspec.DecodeError):
            continue  # of the platforms that an index lists, only one has been fetched
    for manifest in manifests:
        if manifest.config is None:
            continue
        try:
            data = await client.content(namespace, manifest.config.digest)
            config = decode(data, _Config)
        except (CollectError, msgspec.DecodeError):
            continue
        found = config.rootfs.diff_ids or []
        if found and chain_id(found) == chain:
            return Layers(tuple(found), image_history.steps(config.history or ()))
    return Layers()


def chain_id(layers: Sequence[str]) -> str:
    """Return the chain id of layers, lowest first; "" for none."""
    chain = ""
    for layer in layers:
        chain = f"sha256:{sha256(f'{chain} {layer}'.encode()).hexdigest()}" if chain else layer
    return chain
