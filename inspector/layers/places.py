"""Finds a container's layers and opens its files, whether it runs or not."""

import os
from collections.abc import Generator
from contextlib import contextmanager

from collectors.errors import CollectError
from collectors.inside import Inside
from collectors.kernel import layers
from collectors.overlay.lower import Place
from collectors.overlay.records import Overlay
from collectors.overlay.tree import Tree
from collectors.root import Root, translate
from inspector.domains.containers.model import Container
from inspector.errors import Failure


def overlay_of(root: Root, container: Container) -> Overlay | None:
    """Return its root mount as the kernel has it; of a stopped one, as its engine says.

    None where its root is no overlay, or is the host's.
    """
    namespace = container.namespaces.get("mnt")
    if namespace is not None:
        found = next((one for one in layers.find(root)[0] if one.namespace == namespace), None)
        if found is not None:
            return found
    if container.rootfs is None or container.rootfs.driver != "overlay":
        return None
    by_role: dict[str, list[str]] = {}
    for layer in container.rootfs.layers:
        by_role.setdefault(layer.role, []).append(layer.path)
    if not by_role.get("lower"):
        return None
    upper = next(iter(by_role.get("upper", ())), None)
    return Overlay(
        namespace=0,
        device="",
        lowerdirs=tuple(by_role["lower"]),
        upperdir=upper,
        workdir=next(iter(by_role.get("work", ())), None),
        merged=None,
        options=_options(root, upper),
    )


def _options(root: Root, upper: str | None) -> tuple[str, ...]:
    """Return what an overlay was mounted with that nobody tells of any more.

    A user's engine cannot write trusted attributes: in a store that is a user's own, marks are user's.
    Elsewhere, files that are marked as metadata alone are that.
    """
    if upper is not None:
        try:
            if os.stat(root.resolve(os.path.dirname(upper))).st_uid != 0:
                return ("userxattr",)
        except OSError:
            pass  # whoever opens the layer says why
    return ("metacopy=on",)


def inside(root: Root, container: Container) -> Inside:
    """Open a running container's root, volumes and all; raise `Failure`."""
    if container.pid is None:
        raise Failure(f"{container.name}: it does not run ({container.status})")
    try:
        return Inside.of_process(root, container.pid, container.namespaces.get("mnt"))
    except CollectError as error:
        raise Failure(f"{container.name}: {error}") from error


def layer_directory(overlay: Overlay, layer: str) -> str:
    """Return the directory of `upper`, or of a lower layer by its number; raise `Failure`."""
    if layer == "upper":
        if overlay.upperdir is None:
            raise Failure("there is no upper layer: it is mounted read-only")
        return overlay.upperdir
    if layer.isascii() and layer.isdigit() and int(layer) < len(overlay.lowerdirs):
        return overlay.lowerdirs[int(layer)]
    last = len(overlay.lowerdirs) - 1
    raise Failure(f"no layer {layer!r}: say upper, or 0 (the uppermost lower one) to {last}")


@contextmanager
def opened(root: Root, container: Container, path: str, layer: str | None) -> Generator[int]:
    """Open a regular file to read: of the container as it is, or of one layer; raise `Failure`.

    A stopped container's is looked up in its layers, without its volumes.
    """
    try:
        fd = _open(root, container, path, layer)
    except CollectError as error:
        raise Failure(f"{container.name}:{path}: {error.message}") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _open(root: Root, container: Container, path: str, layer: str | None) -> int:
    if layer is None and container.pid is not None:
        with inside(root, container) as running:
            return running.file(path)
    overlay = overlay_of(root, container)
    if overlay is None:
        raise Failure(f"{container.name}: its root is no overlay: it has no layers of its own")
    if layer is None:
        return _open_in_layers(root, overlay, path)
    with Inside.of_directory(root, layer_directory(overlay, layer)) as one:
        return one.file(path)


def _open_in_layers(root: Root, overlay: Overlay, path: str) -> int:
    with Tree(root, overlay) as tree:
        for _ in range(40):
            entry = tree.which(path)
            found = entry.visible
            if found is None:
                raise CollectError(path, "open", "it is deleted")
            if found.metacopy:
                found = next((one for one in entry.versions if not one.metacopy), found)
            if found.metacopy or found.kind == "whiteout":
                raise CollectError(path, "open", "its contents are in no layer under this name")
            if found.kind == "symlink" and found.target is not None:
                path = os.path.join(os.path.dirname(path), found.target)
                continue
            try:
                return tree.lowers.open_file(Place(found.layer, found.path.lstrip("/")))
            except OSError as error:
                raise translate(error, path, "open") from error
    raise CollectError(path, "open", "too many symbolic links")
