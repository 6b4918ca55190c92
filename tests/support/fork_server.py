"""Forks a process for every command that it is asked for, with everything imported already.

Run as a script with the number of a socket; it ends when nobody holds the other end any more.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

from cli.main import COMMANDS, main

LARGEST = 1 << 20
"""Bytes of a request, which holds a whole environment."""


@dataclass(frozen=True)
class _Child:
    pid: int
    told: int

    def tell_its_end(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        os.write(self.told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os.close(self.told)


def serve(control: socket.socket) -> list[str] | None:
    """Fork until *control* ends; returns None then, and in every child what it is to run."""
    children: dict[int, _Child] = {}
    while True:
        ready, _, _ = select.select([control.fileno(), *children], [], [])
        for ended in children.keys() & set(ready):
            children.pop(ended).tell_its_end()
            os.close(ended)
        if control.fileno() not in ready:
            continue
        request, files, _, _ = socket.recv_fds(control, LARGEST, 4)
        if not request:
            for child in children.values():
                os.kill(child.pid, signal.SIGKILL)
            return None
        *streams, told = files
        pid = os.fork()
        if not pid:
            control.close()
            for other in (told, *children, *(child.told for child in children.values())):
                os.close(other)
            return _become(json.loads(request), streams)
        for stream in streams:
            os.close(stream)
        os.write(told, f"{pid}\n".encode())
        children[os.pidfd_open(pid)] = _Child(pid, told)


def _become(request: dict[str, object], streams: list[int]) -> list[str]:
    words, environment, folder = request["words"], request["environment"], request["folder"]
    assert isinstance(words, list)
    assert isinstance(environment, dict)
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(folder))
    return words


if __name__ == "__main__":
    for place in COMMANDS.values():
        # What cannot be imported fails in the process that needs it.
        with suppress(ImportError):
            import_module(place.partition(":")[0])
    # What is there now is never looked through again, nor copied into the children for it.
    gc.freeze()
    words = serve(socket.socket(fileno=int(sys.argv[1])))
    if words is not None:
        sys.argv = ["lark-service", *words]
        main()
