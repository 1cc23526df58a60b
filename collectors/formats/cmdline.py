"""/proc/PID/cmdline (proc_pid_cmdline(5)): arguments, each ended by a zero byte."""

from runtime.formats import text


def parse(data: bytes) -> tuple[str, ...]:
    """Return the arguments; a process that wrote its title over them may have one only."""
    if not data:
        return ()
    return tuple(text.decode(data.removesuffix(b"\0")).split("\0"))
