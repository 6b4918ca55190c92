"""A private Redis (or Valkey) process."""

from __future__ import annotations

import os
import socket
from typing import ClassVar

from sandbox.stack import sources
from sandbox.stack.server import MAIN, Server


class Redis(Server):
    """Redis with an append-only file, so that a killed server comes back with its keys."""

    name: ClassVar[str] = "redis"
    title: ClassVar[str] = "Redis"
    start_seconds: ClassVar[float] = 20

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def _run(self) -> None:
        program = sources.redis_program()
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "dir": str(self.directory),
            "save": '""',
            "appendonly": "yes",
            # The kernel keeps what a killed process wrote; a power cut is not what this survives.
            "appendfsync": "no",
            "daemonize": "no",
        }
        lines = "".join(f"{key} {value}\n" for key, value in settings.items())
        file = self.directory / "redis.conf"
        file.touch(mode=0o600)
        file.write_text(lines)
        self._spawn(MAIN, [str(program), str(file)], {"PATH": os.defpath, "LC_ALL": "C"})

    def _ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(256)):
                    answer += part
        except OSError:
            return False
        return b"+PONG" in answer
