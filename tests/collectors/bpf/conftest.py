"""The iterator over tasks, where this kernel has it."""

import pytest

from collectors.bpf import tasks
from collectors.bpf.tasks import Tasks
from collectors.root import Root
from tests.requirements import lacking


@pytest.fixture
def reader() -> Tasks:
    reader = tasks.connect(Root())
    if reader is None:
        lacking("no BPF iterator over tasks here")
    return reader
