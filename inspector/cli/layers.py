"""`cinspect layers`: prints a container's layers, which of them has a path, and what they waste."""

import argparse
from collections.abc import Iterator, Mapping, Sequence

from collectors.root import Root
from inspector import exit_codes, units
from inspector.cli import found, options
from inspector.cli.engine import session
from inspector.domains.containers.model import Container
from inspector.errors import Failure
from inspector.layers import places, report
from inspector.layers.growth import Growth
from inspector.layers.model import (
    Holder,
    LayersReport,
    PathReport,
    PathVersion,
    StackLayer,
    Waste,
)
from inspector.output import json, text

_TOLD = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Print the layers of a container, of any engine or none. --path tells which layer supplies "
        "a path and what the others have there. --waste walks every layer: bytes that no one can "
        "see are replaced, deleted or covered in a layer above; efficiency is visible bytes over "
        "all bytes, each file once.",
        "cinspect layers web --waste",
        "cinspect layers web --path /etc/passwd",
        "cinspect layers web --growth 10s    what is written in ten seconds, where, and by whom",
        "cinspect layers web --list /etc --format json | jq '.listing[].path'",
    )
    session.add_references(parser, many=False)
    add = parser.add_argument
    add("--format", choices=("text", "json"), default="text")
    add("--path", metavar="PATH", help="tell every layer's version of this path")
    add("--list", metavar="DIR", help="list a directory with the layer that has each name")
    add("--waste", action="store_true", help="walk all layers and weigh them")
    add("--deleted", action="store_true", help="deleted files that its processes have open")
    add(
        "--growth",
        metavar="TIME",
        type=options.duration,
        help="walk the upper layer twice, TIME apart: what was written most, and by which process",
    )
    add(
        "--seconds",
        metavar="TIME",
        type=options.duration,
        help="weigh no longer than this: the numbers are then lower bounds",
    )


def run(args: argparse.Namespace) -> int:
    """Print it."""
    root = Root(options.settings(args).host_root)
    container = found.container(args, args.container)
    made = _report(root, container, args)
    if args.format == "json":
        session.say(json.encode(made, pretty=True).decode().rstrip("\n"))
    else:
        for line in lines(made):
            session.say(text.printable(line))
    return exit_codes.DONE


def _report(root: Root, container: Container, args: argparse.Namespace) -> LayersReport:
    overlay = places.overlay_of(root, container)
    driver = container.rootfs.driver if container.rootfs else "unknown"
    if overlay is None:
        if args.path or args.list or args.waste or args.growth is not None:
            raise Failure(f"{container.name}: its root is {driver}, no overlay: it has no layers")
        stack: tuple[StackLayer, ...] = ()
        waste = weight = None
    else:
        waste, weight = (
            report.weigh(root, overlay, seconds=args.seconds) if args.waste else (None, None)
        )
        stack = report.stack(overlay, container.rootfs, weight)
    growth = (
        report.watch(root, overlay, args.growth)
        if overlay is not None and args.growth is not None
        else None
    )
    return LayersReport(
        container=container.id,
        name=container.name,
        driver=driver,
        layers=stack,
        options=overlay.options if overlay and overlay.namespace else (),
        path=report.which(root, overlay, args.path) if args.path and overlay else None,
        listing=report.listing(root, overlay, args.list) if args.list and overlay else None,
        waste=waste,
        deleted=report.open_deleted(root, container.pids) if args.deleted else None,
        growth=growth,
        writers=report.written_by(root, container.pids, growth) if growth is not None else None,
    )


def lines(made: LayersReport) -> Iterator[str]:
    """Yield the report as text, a line at a time."""
    yield f"{made.name}: {made.driver}" + (f" ({','.join(made.options)})" if made.options else "")
    for layer in made.layers:
        weighed = ""
        if layer.visible_bytes is not None and layer.hidden_bytes is not None:
            weighed = (
                f"  {units.size(layer.visible_bytes):>6} visible"
                f"  {units.size(layer.hidden_bytes):>6} hidden"
            )
        yield f"  {layer.name:9}{weighed}  {layer.digest or layer.path}"
    if made.path is not None:
        yield from _path(made.path)
    if made.listing is not None:
        for entry in made.listing:
            yield _listed(entry)
    if made.waste is not None:
        yield from _waste(made.waste)
    for file in made.deleted or ():
        held = ", ".join(f"{one.pid}/{one.fd}" for one in file.holders[:4])
        yield f"  deleted, open: {units.size(file.disk_bytes):>6}  {file.path}  by {held}"
    if made.growth is not None:
        yield from _growth(made.growth, made.writers or {})
    if made.deleted == ():
        yield "  no deleted file is open"


def _growth(growth: Growth, writers: Mapping[str, Sequence[Holder]]) -> Iterator[str]:
    bound = "" if growth.complete else " (not everything was walked)"
    rate = growth.bytes_per_second
    speed = "" if rate is None else f", {units.size(rate)}/s"
    yield (
        f"in {units.interval(growth.seconds)} the upper layer grew by "
        f"{units.size(growth.grown_bytes)}{speed}; {units.size(growth.written_bytes)} written at least: "
        f"{growth.new} new, {growth.grew} grew, {growth.rewritten} rewritten, "
        f"{growth.shrank} shrank, {growth.gone} gone{bound}"
    )
    for one in growth.directories:
        yield f"  {units.size(one.written_bytes):>6}  in {one.path} ({one.files} files)"
    for path in growth.paths:
        pids = sorted({one.pid for one in writers.get(path.path, ())})
        by = f"  by {', '.join(map(str, pids[:4]))}" if pids else ""
        yield f"  {units.size(path.written_bytes):>6}  {path.what:9}  {path.path}{by}"


def _path(entry: PathReport) -> Iterator[str]:
    yield f"{entry.path}: " + (f"from {entry.supplied_by}" if entry.supplied_by else "deleted")
    if entry.copied_up_at is not None:
        yield f"  copied up {entry.copied_up_at:%Y-%m-%d %H:%M:%S} UTC"
    for version in entry.versions:
        yield f"  {version.layer:9} {version.mode} {version.size_bytes:>12,}  {_state(version)}"


def _state(version: PathVersion) -> str:
    if version.kind == "whiteout":
        return "whiteout: deletes it"
    if version.supplies:
        words = "supplies it"
    elif version.merged:
        words = "merged"
    else:
        words = f"hidden by {version.hidden_by} ({version.why})"
    marks = [name for name in ("opaque", "metacopy") if getattr(version, name)]
    if version.redirect:
        marks.append(f"is {version.redirect} below")
    if version.target is not None:
        marks.append(f"-> {version.target}")
    return ", ".join([words, *marks])


def _listed(entry: PathReport) -> str:
    top = entry.versions[0]
    name = entry.path + ("/" if top.kind == "directory" else "")
    more = f"  ({len(entry.versions)} layers have it)" if len(entry.versions) > 1 else ""
    return f"  {entry.supplied_by or 'deleted':9} {top.size_bytes:>12,}  {name}{more}"


def _waste(waste: Waste) -> Iterator[str]:
    bound = "" if waste.complete else " at least (not everything was walked)"
    ratio = "is not known" if waste.efficiency is None else f"{waste.efficiency * 100:.1f} %"
    yield (
        f"efficiency {ratio}: {units.size(waste.visible_bytes)} visible, "
        f"{units.size(waste.hidden_bytes)} hidden{bound}"
    )
    reasons = ", ".join(
        f"{units.size(size)} {why}" for why, size in waste.by_reason.items() if size
    )
    if reasons:
        yield f"  hidden: {reasons}"
    if waste.same_bytes:
        yield f"  {units.size(waste.same_bytes)} were copied up and never changed"
    for one in waste.paths[:_TOLD]:
        what = f"{one.path}/ ({one.files} files)" if one.is_directory else one.path
        yield f"  {units.size(one.size_bytes):>6}  {one.layer}  {one.why} by {one.hidden_by}  {what}"
