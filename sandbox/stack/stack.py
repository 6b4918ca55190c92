"""The private RabbitMQ, Redis and PostgreSQL of one run, started and stopped together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from sandbox.stack.errors import NotOursError, StackError
from sandbox.stack.given import VARIABLES, given_urls
from sandbox.stack.postgres import Postgres
from sandbox.stack.rabbitmq import RabbitMQ
from sandbox.stack.redis import Redis
from sandbox.stack.server import Server
from sandbox.stack.state import RunDirectory
from sandbox.stack.watchman import Watchman

DEFAULT_DIRECTORY = Path(".local/stack")
NAMES = ("rabbitmq", "redis", "postgres")
OneServer = TypeVar("OneServer", bound=Server)


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One row of `Stack.status`; `url` holds the password, so it is not printed."""

    name: str
    state: Literal["running", "paused", "stopped", "given"]
    url: str | None = field(repr=False)
    pid: int | None


class Stack:
    """Throw-away servers under one run directory, on free loopback ports.

    All methods block. A server that `given` names by URL is used as it is and never touched.
    When the process that started the stack ends in any way, the servers end too, unless
    `outlive` is set; then `Stack.attach(directory).stop()` ends them.
    """

    def __init__(
        self,
        directory: Path = DEFAULT_DIRECTORY,
        *,
        keep: bool = False,
        outlive: bool = False,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """`keep` uses and leaves data in `directory`; `given` defaults to the environment."""
        self._run = RunDirectory(directory)
        self._keep = keep
        self._outlive = outlive
        self._given = given_urls(os.environ if given is None else given)
        self._servers: dict[str, Server] = {}
        self._watchman: Watchman | None = None

    @classmethod
    def attach(cls, directory: Path = DEFAULT_DIRECTORY) -> Stack:
        """The stack that another process started in `directory`."""
        state = RunDirectory(directory).read_state()
        if state is None:
            raise StackError(f"No stack was started in {directory}.")
        stack = cls(directory, keep=state["keep"], outlive=True, given={})
        stack._given = dict(state["given"])
        stack._build(state)
        return stack

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def directory(self) -> Path:
        """The absolute run directory."""
        return self._run.path

    @property
    def rabbitmq(self) -> RabbitMQ:
        """The private RabbitMQ; raises NotOursError when it was given by URL."""
        return self._own(RabbitMQ)

    @property
    def redis(self) -> Redis:
        """The private Redis; raises NotOursError when it was given by URL."""
        return self._own(Redis)

    @property
    def postgres(self) -> Postgres:
        """The private PostgreSQL; raises NotOursError when it was given by URL."""
        return self._own(Postgres)

    @property
    def rabbitmq_url(self) -> str:
        """The broker's address, given or private."""
        return self._given.get("rabbitmq") or self.rabbitmq.url

    @property
    def redis_url(self) -> str:
        """The Redis address, given or private."""
        return self._given.get("redis") or self.redis.url

    @property
    def database_url(self) -> str:
        """The database's address, given or private."""
        return self._given.get("postgres") or self.postgres.url

    def is_given(self, name: str) -> bool:
        """Whether the environment named this server, so that it is not ours."""
        return name in self._given

    def start(self, *names: str) -> None:
        """Start the named servers, or all, side by side, and resume those that are paused."""
        wanted = [name for name in names or NAMES if name not in self._given]
        if not self._servers:
            self._take_over()
        if self._watchman is None and not self._outlive:
            self._watchman = Watchman(self.directory)
        for name in wanted:
            self._servers[name].launch()
        for name in wanted:
            self._servers[name].await_ready()
        self._record()

    def stop(self, *, purge: bool | None = None) -> None:
        """Stop every server; data is deleted when `purge`, by default unless it is to be kept."""
        for server in self._servers.values():
            server.stop()
        erase = not self._keep if purge is None else purge
        # Without servers the directory was refused: what lies there is another stack's.
        if erase and self._servers:
            self._purge()
        if self._watchman is not None:
            self._watchman.dismiss()
            self._watchman = None

    def environment(self) -> dict[str, str]:
        """The variables with which `lark-service` uses this stack; they hold secrets."""
        return {
            VARIABLES["rabbitmq"]: self.rabbitmq_url,
            VARIABLES["redis"]: self.redis_url,
            VARIABLES["postgres"]: self.database_url,
            "LARK_SERVICE_SECRET_KEY": self._run.secrets().secret_key,
        }

    def write_environment(self) -> Path:
        """Write `environment` to a file for a shell, readable by its owner only."""
        return self._run.write_environment(self.environment())

    def status(self) -> list[ServerStatus]:
        """How each server is now, by the processes themselves."""
        return [_status(name, self._servers.get(name), self._given.get(name)) for name in NAMES]

    def _own(self, kind: type[OneServer]) -> OneServer:
        if kind.name in self._given:
            variable = VARIABLES[kind.name]
            raise NotOursError(f"{variable} is set, so {kind.title} is not ours; unset it.")
        server = self._servers.get(kind.name)
        if not isinstance(server, kind):
            raise StackError(f"{kind.title} was not started: call start() first.")
        return server

    def _take_over(self) -> None:
        state = self._run.read_state()
        self._build(state)
        if any(server.running for server in self._servers.values()):
            self._servers = {}
            raise StackError(
                f"A stack already runs in {self.directory}; end it with `lark-service stack down`."
            )
        if state is not None and not self._keep:
            self._purge()
            self._build(None)
        self._run.create()
        self._record()

    def _build(self, state: Mapping[str, Any] | None) -> None:
        password = self._run.secrets().password
        kinds: tuple[type[Server], ...] = (RabbitMQ, Redis, Postgres)
        for kind in kinds:
            server = kind(self.directory / kind.name, password, self._record)
            if state is not None and kind.name in state["servers"]:
                server.restore(state["servers"][kind.name])
            self._servers[kind.name] = server

    def _record(self) -> None:
        servers = {name: server.snapshot() for name, server in self._servers.items()}
        self._run.write_state({"keep": self._keep, "given": self._given, "servers": servers})

    def _purge(self) -> None:
        for server in self._servers.values():
            server.erase()
        self._run.remove()
        self._servers = {}


def _status(name: str, server: Server | None, given: str | None) -> ServerStatus:
    if given:
        return ServerStatus(name, "given", given, None)
    process = server.process if server is not None else None
    if server is None or process is None:
        return ServerStatus(name, "stopped", None, None)
    return ServerStatus(name, "paused" if process.paused else "running", server.url, process.pid)
