"""The live host for a verb: a sampler over the roots and engines that the global options name."""

import asyncio
import contextlib
import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from collectors import registry
from collectors.errors import CollectError
from collectors.root import Root
from inspector.chain import Chain
from inspector.cli.options import Settings
from inspector.domains.containers.model import Container
from inspector.errors import Failure
from inspector.frame import SECTIONS, Frame
from inspector.sampler import Deadlines, Sampler

if TYPE_CHECKING:
    from inspector.hub import LiveSource
    from inspector.journal import Journal

_ACTING_SECONDS: Final = 10.0


def sampler(
    settings: Settings, *, listen: bool = False, deadlines: Deadlines | None = None
) -> Sampler:
    """Return a sampler of the live host, or of the tree at --host-root, whose engines do not answer.

    With `listen` it hears also what is between two samples: for who takes one after the other.
    """
    root = Root(settings.host_root)
    if not root.live and not os.path.isdir(root.resolve("proc")):
        raise Failure(f"{settings.host_root} has no proc below it: nothing to inspect there")
    engines = (
        registry.engines(engine_root=settings.root, engine_state=settings.state, listen=listen)
        if root.live
        else ()
    )
    return Sampler(root, registry.collectors(root, listen=listen), engines, deadlines=deadlines)


def source(
    settings: Settings, *, interval: float = 1.0, sections: Collection[str] = SECTIONS
) -> "LiveSource":
    """Return frames of the live host for one reader."""
    from inspector.hub import LiveSource  # noqa: PLC0415 - one frame does without

    return LiveSource(
        sampler(settings, listen=True),
        interval=interval,
        sections=sections,
        journal=journal(settings),
    )


def journal(settings: Settings) -> "Journal | None":
    """Return the journal of events, which outlives a reboot: root keeps it, unless all is to be left as it is.

    Of another host's tree there is none.
    """
    from inspector.journal import Journal  # noqa: PLC0415 - one frame does without

    root = Root(settings.host_root)
    if not root.live:
        return None
    try:
        boot_id = root.read("proc/sys/kernel/random/boot_id").decode("ascii", "replace").strip()
    except CollectError:
        boot_id = "unknown"
    directory = os.path.join(settings.root, "events")
    write = os.geteuid() == 0 and not settings.read_only
    return Journal(directory, boot_id=boot_id, write=write)


def allow_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: files are kept open between two frames.

    Only for what starts no process: that would have the limit too (getrlimit(2)).
    """
    import resource  # noqa: PLC0415 - one look does without

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it: then fewer are kept
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def frame(settings: Settings, sections: Collection[str]) -> Frame:
    """Return one frame, without rates."""
    made = await asyncio.to_thread(sampler, settings)
    return await asyncio.to_thread(Chain().advance, await made.sample(sections))


async def containers(settings: Settings) -> Sequence[Container]:
    """Return every container of this moment, of all engines and of none.

    One is to be acted on: a busy engine is waited for.
    """
    made = await asyncio.to_thread(sampler, settings, deadlines=Deadlines(engine=_ACTING_SECONDS))
    sample = await made.sample(("containers",))
    taken = await asyncio.to_thread(Chain().advance, sample)
    return taken.containers if isinstance(taken.containers, tuple) else ()
