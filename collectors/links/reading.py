"""Enters network namespaces and asks each for its links."""

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import islice

from msgspec import Struct

from collectors import netns
from collectors.errors import Problem
from collectors.links.records import Interface


class Answer(Struct, frozen=True):
    """What one namespace said of its links; none where it could not be asked."""

    interfaces: tuple[Interface, ...] | None
    problem: Problem | None = None


def of_namespaces(asked: Mapping[int, int], known: Mapping[int, int]) -> Mapping[int, Answer]:
    """Return the links of network namespaces, by inode, each entered through one process.

    `known` has a process of every namespace, those that are not asked too: peers are recognized
    by them. One whose process went away is left out.
    """
    # Not loaded by what does not ask for it.
    from collectors.links import rtnetlink  # noqa: PLC0415

    answers: dict[int, Answer] = {}
    order = iter(sorted(asked))
    while batch := list(islice(order, netns.AT_ONCE)):
        with ExitStack() as stack:
            opened, refused = netns.enter({inode: asked[inode] for inode in batch})
            for one in opened.values():
                stack.callback(one.close)
            found, failed = rtnetlink.links(opened, known)
        answers |= {inode: Answer(None, problem) for inode, problem in (refused | failed).items()}
        answers |= {inode: Answer(interfaces) for inode, interfaces in found.items()}
    return answers
