"""Answers a question from facts: pure, one resolver a kind."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from inspector.owner import files, kernel, network, processes
from inspector.owner.facts import Facts
from inspector.owner.model import Answer, Kind, Miss, Question, Report

Resolver = Callable[[Question, Facts], Answer | Miss]

_RESOLVERS: Final[Mapping[Kind, Resolver]] = {
    "pid": processes.pid,
    "container": processes.container,
    "interface": network.interface,
    "address": network.address,
    "port": network.port,
    "connection": network.connection,
    "path": files.path,
    "fd": files.fd,
    "inode": files.inode,
    "cgroup": kernel.cgroup,
    "namespace": kernel.namespace,
    "mount": kernel.mount,
}
_OF_INODES: Final[tuple[Kind, ...]] = ("namespace", "cgroup", "inode")
"""What has an inode, the surest first."""
_LAST_RESORT: Final = frozenset({"cgroup", "inode", "mount"})
"""Small numbers fit these by chance: a guess takes them only when nothing else fits."""
_SAME: Final[Mapping[Kind, frozenset[Kind]]] = defaultdict(
    frozenset, {"port": frozenset({"connection"}), "path": frozenset({"cgroup"})}
)
"""What would answer the same again."""


def resolve(what: str, questions: Sequence[Question], facts: Facts) -> Report:
    """Return every answer that there is, the likeliest first; `questions` are the ways to understand."""
    answers: list[Answer] = []
    missed: list[Miss] = []
    for asked in _expanded(questions):
        known = {one.kind for one in answers}
        if (
            not asked.explicit
            and known
            and (asked.kind in _LAST_RESORT or _SAME[asked.kind] & known)
        ):
            continue
        said = _RESOLVERS[asked.kind](asked, facts)
        if isinstance(said, Answer):
            answers.append(said)
        else:
            missed.append(said)
    answers.sort(key=lambda one: not one.owners)
    return Report(
        what=what,
        owners=tuple(dict.fromkeys(owner for one in answers for owner in one.owners)),
        answers=tuple(answers),
        tried=tuple(missed),
        missing=_missing(questions, facts),
    )


def _expanded(questions: Sequence[Question]) -> list[Question]:
    """Return an explicit inode as all that has inodes; other questions as they are."""
    if len(questions) == 1 and questions[0].kind == "inode" and questions[0].explicit:
        return [Question(kind, questions[0].value, explicit=True) for kind in _OF_INODES]
    return list(questions)


def _missing(questions: Sequence[Question], facts: Facts) -> tuple[str, ...]:
    """Return what could not be looked at and could have mattered."""
    said = [f"{one.path}: {one.message}" for one in facts.frame.errors if one.error == "denied"]
    kinds = {asked.kind for asked in questions}
    if facts.open_files is not None and not facts.open_files.complete:
        said.append("not every process's open files could be looked at")
    if kinds & {"port", "connection"} and any(one.listeners is None for one in facts.networks):
        said.append("the sockets of some network namespaces could not be read")
    return tuple(dict.fromkeys(said))
