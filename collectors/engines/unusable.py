"""Stands for an engine whose address is none that can be asked: it says so, and nothing else."""

from collectors.engine import EngineReading
from collectors.errors import Unavailable


class Unusable:
    """An engine at the end of TCP, SSH or TLS, as DOCKER_HOST can name it."""

    def __init__(self, name: str, address: str) -> None:
        """Take what the environment says."""
        self.name = name
        self.address = address

    async def collect(self) -> EngineReading:
        """Raise `Unavailable`: only unix sockets are spoken to."""
        raise Unavailable(self.address, "connect", "only unix:///path addresses are supported")
