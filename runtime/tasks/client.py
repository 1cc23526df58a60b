"""The Task service as typed calls, each with its deadline."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self, TypeVar

from runtime.proto import task
from runtime.proto.codec import Message
from runtime.proto.wellknown import Empty, Timestamp
from runtime.ttrpc.client import TtrpcClient
from runtime.types import Exit

_Response = TypeVar("_Response", bound=Message)

_SERVICE: Final = task.SERVICES[0]
_SECONDS: Final[Mapping[str, float | None]] = {
    "Create": 90,
    "Start": 60,
    "Delete": 30,
    "Wait": None,
    "Pause": 20,
    "Resume": 20,
}
_OTHER_SECONDS: Final = 5


class TaskClient:
    """One connection to one shim."""

    def __init__(self, connection: TtrpcClient, container_id: str) -> None:
        self._connection = connection
        self._id = container_id

    @classmethod
    async def connect(cls, address: str, container_id: str) -> Self:
        """Connect; raises `Unavailable` if there is no shim."""
        return cls(await TtrpcClient.connect(address), container_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def _call(self, method: str, request: Message, response: type[_Response]) -> _Response:
        data = await self._connection.call(
            _SERVICE,
            method,
            request.encode(),
            timeout_seconds=_SECONDS.get(method, _OTHER_SECONDS),
        )
        return response.decode(data)

    def _process(self, exec_id: str = "") -> task.ProcessRequest:
        return task.ProcessRequest(id=self._id, exec_id=exec_id)

    async def create(self, request: task.CreateTaskRequest) -> int:
        """Make the init, which waits; return its pid."""
        return (await self._call("Create", request, task.PidResponse)).pid

    async def start(self, exec_id: str = "") -> int:
        """Start the command, or an exec; return its pid."""
        return (await self._call("Start", self._process(exec_id), task.PidResponse)).pid

    async def exec(self, request: task.ExecProcessRequest) -> None:
        """Register an exec."""
        await self._call("Exec", request, Empty)

    async def wait(self, exec_id: str = "") -> Exit:
        """Return how it ended, when it has."""
        answer = await self._call("Wait", self._process(exec_id), task.WaitResponse)
        return Exit(answer.exit_status, moment(answer.exited_at))

    async def delete(self, exec_id: str = "") -> Exit:
        """Forget an exec, or take the container down."""
        answer = await self._call("Delete", self._process(exec_id), task.DeleteResponse)
        return Exit(answer.exit_status, moment(answer.exited_at))

    async def attach(self, exec_id: str, *, stdin: str, stdout: str, stderr: str) -> None:
        """Take over a process's streams."""
        request = task.AttachRequest(
            id=self._id, exec_id=exec_id, stdin=stdin, stdout=stdout, stderr=stderr
        )
        await self._connection.call(
            task.OWN_SERVICE, "Attach", request.encode(), timeout_seconds=_OTHER_SECONDS
        )

    async def kill(self, signal: int, exec_id: str = "", *, everybody: bool = False) -> None:
        """Send a signal."""
        request = task.KillRequest(id=self._id, exec_id=exec_id, signal=signal, all=everybody)
        await self._call("Kill", request, Empty)

    async def pause(self) -> None:
        """Freeze."""
        await self._call("Pause", self._process(), Empty)

    async def resume(self) -> None:
        """Thaw."""
        await self._call("Resume", self._process(), Empty)

    async def update(self, request: task.UpdateTaskRequest) -> None:
        """Change limits."""
        await self._call("Update", request, Empty)

    async def resize(self, *, width: int, height: int, exec_id: str) -> None:
        """Tell a terminal its size."""
        request = task.ResizePtyRequest(id=self._id, exec_id=exec_id, width=width, height=height)
        await self._call("ResizePty", request, Empty)

    async def close_stdin(self, exec_id: str) -> None:
        """Let the process read an end of file."""
        request = task.CloseIORequest(id=self._id, exec_id=exec_id, stdin=True)
        await self._call("CloseIO", request, Empty)

    async def state(self, exec_id: str = "") -> task.StateResponse:
        """Return what the shim knows of a process."""
        return await self._call("State", self._process(exec_id), task.StateResponse)

    async def shutdown(self) -> None:
        """Ask the shim to end, if it holds no container."""
        await self._call("Shutdown", task.ShutdownRequest(id=self._id), Empty)


def moment(timestamp: Timestamp | None) -> datetime:
    """Return a wire timestamp as a datetime in UTC."""
    seconds = 0 if timestamp is None else timestamp.nanoseconds / 1e9
    return datetime.fromtimestamp(seconds, UTC)
