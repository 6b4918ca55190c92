"""Free loopback ports for servers that must keep their port over a restart."""

from __future__ import annotations

import random
import socket

from sandbox.stack.errors import StackError

# Below the range that Linux and macOS draw from for outgoing connections: a port in that range
# can be taken by any client while its server is down, and a reconnecting client can even
# connect to itself.
_LOWEST, _HIGHEST = 20_000, 32_000
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Distinct ports of 127.0.0.1 on which nobody listens."""
    found: set[int] = set()
    for _ in range(_TRIES):
        port = random.randrange(_LOWEST, _HIGHEST)
        if port not in found and is_free(port):
            found.add(port)
        if len(found) == count:
            return sorted(found)
    raise StackError(f"No {count} free ports between {_LOWEST} and {_HIGHEST} on 127.0.0.1.")
