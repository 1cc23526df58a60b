"""Asks the live host, or a recorded tree: takes the sample that the questions need, then resolves."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from collectors import lookups
from collectors.root import Root
from inspector.chain import Chain
from inspector.frame import Frame
from inspector.owner import question
from inspector.owner.facts import Facts
from inspector.owner.model import Kind, Question, Report
from inspector.owner.resolve import resolve
from inspector.sampler import Sampler

_SECTIONS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "pid": (),
    "container": (),
    "interface": ("network",),
    "address": ("network",),
    "port": ("network",),
    "connection": ("network",),
    "path": ("mounts",),
    "fd": ("network",),
    "inode": ("namespaces", "cgroups", "network"),
    "cgroup": ("cgroups",),
    "namespace": ("namespaces",),
    "mount": ("mounts",),
}
"""What each kind needs besides containers and processes."""


async def ask(sampler: Sampler, root: Root, whats: Sequence[str]) -> tuple[Report, ...]:
    """Return a report for each WHAT, all of one moment; raise `WrongUsage` for what cannot be one."""
    parsed = [(what, question.parse(what)) for what in whats]
    sections = {"containers", "processes"}
    for _, questions in parsed:
        sections.update(name for asked in questions for name in _SECTIONS[asked.kind])
    sample = await sampler.sample(sections)
    frame = await asyncio.to_thread(Chain().advance, sample)
    return await asyncio.to_thread(_reports, root, frame, parsed)


Looker = Callable[[Frame, str], Awaitable[Report]]
"""Answers one WHAT from a frame that is there; raises `WrongUsage` for what cannot be one."""


async def on_frame(frame: Frame, what: str) -> Report:
    """Answer from the frame alone, as of a recording: nothing is looked up beside it."""
    questions = question.parse(what)
    return await asyncio.to_thread(resolve, what, questions, Facts(frame))


def beside(root: Root) -> Looker:
    """Return what answers from a frame, and looks paths, descriptors and open files up beside it."""

    async def look(frame: Frame, what: str) -> Report:
        questions = question.parse(what)
        return await asyncio.to_thread(_report, root, frame, what, questions)

    return look


def _reports(
    root: Root, frame: Frame, parsed: Sequence[tuple[str, Sequence[Question]]]
) -> tuple[Report, ...]:
    return tuple(_report(root, frame, what, questions) for what, questions in parsed)


def _report(root: Root, frame: Frame, what: str, questions: Sequence[Question]) -> Report:
    facts = _looked_up(root, frame, questions)
    report = resolve(what, questions, facts)
    inodes = _inodes(facts, questions)
    if (
        report.owners
        or not inodes
        or (report.answers and not questions[0].explicit and not facts.paths)
    ):
        return report
    # Only when nothing else tells whose it is: every process's descriptors are looked at.
    processes = sorted(facts.processes.values(), key=lambda one: one.container is None)
    listening = _listening(root, facts)
    opened = lookups.open_files(root, inodes | set(listening), [one.pid for one in processes])
    facts = Facts(
        frame,
        paths=facts.paths,
        descriptors=facts.descriptors,
        open_files=opened,
        listening=listening,
    )
    return resolve(what, questions, facts)


def _looked_up(root: Root, frame: Frame, questions: Sequence[Question]) -> Facts:
    paths = {
        asked.value: lookups.path(root, asked.value) for asked in questions if asked.kind == "path"
    }
    numbers = [question.descriptor(asked.value) for asked in questions if asked.kind == "fd"]
    return Facts(
        frame,
        paths=paths,
        descriptors={(pid, fd): lookups.descriptor(root, pid, fd) for pid, fd in numbers},
    )


def _listening(root: Root, facts: Facts) -> dict[int, int]:
    """Return the file's inode by the inode of each unix socket that listens at one of the paths."""
    namespaces: dict[int, int] = {}
    for process in facts.processes.values():
        inode = process.namespaces.get("net")
        if inode is not None:
            namespaces.setdefault(inode, process.pid)
    return {
        number: found.inode
        for found in facts.paths.values()
        for number in lookups.listeners_at(root, found, namespaces)
    }


def _inodes(facts: Facts, questions: Sequence[Question]) -> set[int]:
    """Return the inodes whose openers are worth looking for."""
    wanted = {int(asked.value) for asked in questions if asked.kind == "inode"}
    for found in facts.paths.values():
        if found.kind not in {None, "directory", "symbolic link"}:
            wanted.add(found.inode)
    return wanted
