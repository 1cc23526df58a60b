"""Another client takes a running container's streams over."""

import asyncio
import os

import pytest

from runtime.errors import FailedPrecondition, NotFound
from runtime.types import ContainerOptions, Stdio

pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]


class Client:
    """FIFOs of a client and its ends of them."""

    def __init__(self, place, name, *, stdin=False):
        self.paths = {each: f"{place}/{name}-{each}" for each in ("stdin", "stdout", "stderr")}
        for path in self.paths.values():
            os.mkfifo(path)
        self.stdio = Stdio(
            self.paths["stdin"] if stdin else None, self.paths["stdout"], self.paths["stderr"]
        )
        self.out = os.open(self.paths["stdout"], os.O_RDONLY | os.O_NONBLOCK)
        self.into = os.open(self.paths["stdin"], os.O_RDWR | os.O_NONBLOCK) if stdin else -1

    def read_now(self):
        """Return what is there, None if nothing is, empty at the end."""
        try:
            return os.read(self.out, 65536)
        except BlockingIOError:
            return None

    async def read(self, enough):
        found = b""
        async with asyncio.timeout(10):
            while not enough(found):
                found += self.read_now() or b""
                await asyncio.sleep(0.01)
        return found

    async def ended(self):
        async with asyncio.timeout(10):
            while self.read_now() != b"":
                await asyncio.sleep(0.01)

    def close(self):
        for descriptor in (self.out, self.into):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def client(place):
    made = []

    def make(name, **more):
        made.append(Client(place, name, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def started(engine, *command, stdio=None, **more):
    options = ContainerOptions(image="@host", command=command, **more)
    container = await engine.create(options, stdio=stdio)
    return await engine.start(container.id)


async def test_a_new_client_reads_what_comes_and_the_old_one_sees_an_end(engine, client):
    first, second = client("a"), client("b")
    container = await started(
        engine, "sh", "-c", "while :; do echo x; sleep 0.02; done", stdio=first.stdio
    )
    await first.read(lambda found: b"x\n" in found)
    await engine.attach(container.id, stdio=second.stdio)
    await second.read(lambda found: found.count(b"x\n") > 2)
    await first.ended()


async def test_a_container_that_was_started_detached_can_be_read(engine, client):
    container = await started(engine, "sh", "-c", "while :; do echo x; sleep 0.02; done")
    late = client("late")
    await engine.attach(container.id, stdio=late.stdio)
    await late.read(lambda found: b"x\n" in found)


async def test_what_a_stuck_client_did_not_read_goes_to_the_next(engine, client):
    stuck, next_one = client("stuck"), client("next")
    container = await started(engine, "sh", "-c", "seq 1 60000; sleep 1000", stdio=stuck.stdio)
    await asyncio.sleep(0.3)
    await engine.attach(container.id, stdio=next_one.stdio)
    found = await next_one.read(lambda found: found.endswith(b"\n60000\n"))
    left = os.read(stuck.out, 1 << 20)
    assert left + found == b"".join(b"%d\n" % n for n in range(1, 60001))


async def test_a_terminal_is_typed_to_by_its_next_client(engine, client):
    first = client("a", stdin=True)
    container = await started(
        engine,
        "sh",
        "-c",
        "read x; echo got $x; read x; echo got $x",
        tty=True,
        interactive=True,
        stdio=Stdio(first.stdio.stdin, first.stdio.stdout),
    )
    os.write(first.into, b"one\n")
    await first.read(lambda found: b"got one" in found)
    first.close()
    first.out = first.into = -1
    second = client("b", stdin=True)
    await engine.attach(container.id, stdio=Stdio(second.stdio.stdin, second.stdio.stdout))
    os.write(second.into, b"two\n")
    await second.read(lambda found: b"got two" in found)
    assert (await engine.wait(container.id)).code == 0


async def test_pipes_are_written_to_by_the_next_client_while_stdin_is_open(engine, client):
    first, second = client("a", stdin=True), client("b", stdin=True)
    container = await started(engine, "cat", interactive=True, stdio=first.stdio)
    os.write(first.into, b"one\n")
    await first.read(lambda found: b"one\n" in found)
    await engine.attach(container.id, stdio=second.stdio)
    os.write(second.into, b"two\n")
    await second.read(lambda found: b"two\n" in found)
    await engine.close_stdin(container.id)
    assert (await engine.wait(container.id)).code == 0


async def test_what_cannot_be_attached_to_says_why(engine, client, place):
    container = await started(engine, "sleep", "1000")
    with pytest.raises(FailedPrecondition, match="standard input is closed"):
        await engine.attach(container.id, stdio=client("a", stdin=True).stdio)
    with pytest.raises(NotFound, match="no FIFO"):
        await engine.attach(container.id, stdio=Stdio(stdout=f"{place}/nothing"))
    await engine.stop(container.id, timeout_seconds=0)
    with pytest.raises(FailedPrecondition, match="stopped"):
        await engine.attach(container.id, stdio=client("b").stdio)
