"""/proc/PID/net/{tcp,tcp6,udp,udp6} and sockstat (proc_pid_net(5)): the sockets of a network namespace."""

import ipaddress
import sys
from typing import Final

from collectors.netlink.records import STATES, Counts, Protocol, Socket
from runtime.errors import FormatError

_WORD: Final = 4
"""An address is printed as words of the processor's own byte order."""


def parse(data: bytes, protocol: Protocol) -> tuple[Socket, ...]:
    """Return each line's socket; raise `FormatError` on a line that is not one."""
    lines = data.split(b"\n")
    if len(lines) < 2 or lines[-1]:
        raise FormatError(f"net/{protocol} ends within a line, or has no heading")
    return tuple(_socket(line, protocol) for line in lines[1:-1])


def counts(sockstat: bytes, sockstat6: bytes) -> Counts:
    """Return how many there are, by `sockstat` and `sockstat6`; raise `FormatError`.

    Without IPv6 there is no `sockstat6`: it is empty then.
    """
    said = _counted(sockstat) | _counted(sockstat6)
    try:
        return Counts(
            said[b"TCP:"][b"inuse"] + said.get(b"TCP6:", {}).get(b"inuse", 0),
            said[b"TCP:"][b"tw"],
            said[b"UDP:"][b"inuse"],
            said.get(b"UDP6:", {}).get(b"inuse", 0),
        )
    except KeyError as error:
        raise FormatError(f"net/sockstat does not say {error}") from None


def _counted(data: bytes) -> dict[bytes, dict[bytes, int]]:
    """Return the numbers of each line by their names: `TCP: inuse 1 orphan 0`."""
    found: dict[bytes, dict[bytes, int]] = {}
    for line in data.splitlines():
        try:
            name, *pairs = line.split()
            found[name] = dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True))
        except ValueError:
            raise FormatError(f"not a line of net/sockstat: {line[:80]!r}") from None
    return found


def _socket(line: bytes, protocol: Protocol) -> Socket:
    fields = line.split()
    try:
        address, port = _end(fields[1])
        remote_address, remote_port = _end(fields[2])
        state = int(fields[3], 16)
        return Socket(
            protocol=protocol,
            state=STATES[state] if 0 <= state < len(STATES) else f"state {state}",
            address=address,
            port=port,
            remote_address=remote_address,
            remote_port=remote_port,
            uid=int(fields[7]),
            inode=int(fields[9]),
        )
    except (ValueError, IndexError):
        raise FormatError(f"not a line of net/{protocol}: {line[:80]!r}") from None


def _end(field: bytes) -> tuple[str, int]:
    address, _, port = field.partition(b":")
    raw = bytes.fromhex(address.decode("ascii"))
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + _WORD][::-1] for at in range(0, len(raw), _WORD))
    if len(raw) == 4:
        return str(ipaddress.IPv4Address(raw)), int(port, 16)
    found = ipaddress.IPv6Address(raw)
    return str(found.ipv4_mapped or found), int(port, 16)
