"""A private RabbitMQ node with its own epmd, so that no system node is ever touched."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from sandbox.stack import sources
from sandbox.stack.errors import StackError
from sandbox.stack.ports import is_free
from sandbox.stack.server import MAIN, Server

_USER = "lark"
_NODE = "lark@localhost"
_GREETING = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"
# Schedulers that never spin: an idle broker must not cost the CPU that a benchmark measures.
_ERLANG = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
_CONTROL_SECONDS = 60
_EPMD_SECONDS = 5


class RabbitMQ(Server):
    """One RabbitMQ node without plugins; clients use any vhost that `create_vhosts` made."""

    name: ClassVar[str] = "rabbitmq"
    title: ClassVar[str] = "RabbitMQ"
    port_names: ClassVar[tuple[str, ...]] = ("main", "distribution", "epmd")

    def __init__(
        self,
        directory: Path,
        password: str,
        changed: Callable[[], None],
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`settings` are lines of rabbitmq.conf that win over our own."""
        super().__init__(directory, password, changed)
        self._settings = settings or {}

    @property
    def url(self) -> str:
        """The address of the default vhost."""
        return self.vhost_url("/")

    def vhost_url(self, vhost: str) -> str:
        """The address of one vhost."""
        return f"amqp://{_USER}:{self.password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def create_vhosts(self, vhosts: Iterable[str]) -> None:
        """Create vhosts open to our user; one call costs about a second however many they are."""
        names = list(vhosts)
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        definitions = {
            "vhosts": [{"name": name} for name in names],
            "permissions": [{"user": _USER, "vhost": name, **everything} for name in names],
        }
        self.control("import_definitions", stdin=json.dumps(definitions))

    def control(self, *arguments: str, stdin: str = "") -> str:
        """What `rabbitmqctl` prints; it takes about a second of CPU."""
        done = subprocess.run(
            [str(sources.rabbitmq_folder() / "rabbitmqctl"), "--quiet", *arguments],
            input=stdin,
            env=self._environment(),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=_CONTROL_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            output = (done.stderr or done.stdout).strip()
            raise StackError(f"rabbitmqctl {arguments[0]} failed:\n{output}")
        return done.stdout

    def log_tail(self) -> str:
        """The last lines of the node's own log and of its output."""
        logs = sorted((self.directory / "log").glob("*.log"))
        tails = [log.read_text(errors="replace")[-2000:] for log in logs]
        return "\n".join([*tails, super().log_tail()])

    def _run(self) -> None:
        folder = sources.rabbitmq_folder()
        self._write_files()
        environment = self._environment()
        epmd = self.processes.get("epmd")
        if epmd is None or not epmd.alive:
            self._start_epmd(environment)
        self._spawn(MAIN, [str(folder / "rabbitmq-server")], environment)

    def _start_epmd(self, environment: dict[str, str]) -> None:
        port = self.ports["epmd"]
        command = [_epmd_program(), "-address", "127.0.0.1", "-port", str(port)]
        self._spawn("epmd", command, environment)
        # A node that finds no epmd starts one of its own, which nobody would end.
        deadline = time.monotonic() + _EPMD_SECONDS
        while is_free(port) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(_GREETING)
                return connection.recv(1) == _METHOD_FRAME
        except OSError:
            return False

    def _write_files(self) -> None:
        cookie = self.directory / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(20))
            cookie.chmod(0o400)
        self._file("enabled_plugins").write_text("[].\n")
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self.port}",
            "default_user": _USER,
            "default_pass": self.password,
            "disk_free_limit.absolute": "50MB",
            "vm_memory_high_watermark.absolute": "2GB",
            "log.file.level": "warning",
            "collect_statistics_interval": "60000",
            **self._settings,
        }
        lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
        self._file("rabbitmq.conf").write_text(lines)

    def _file(self, name: str) -> Path:
        path = self.directory / name
        path.touch(mode=0o600)
        return path

    def _environment(self) -> dict[str, str]:
        """The whole environment: nothing of the caller's and nothing of /etc/rabbitmq leaks in."""
        home = self.directory
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": f"{_erlang_folder()}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.ports["distribution"]),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_PID_FILE": str(home / "rabbitmq.pid"),
            # The start script then becomes the node instead of waiting beside it, so that the
            # pid we record is the node's.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-noinput {_ERLANG} {loopback}",
        }


def _erlang_folder() -> Path:
    program = shutil.which("erl")
    if program is None:
        raise sources.missing("rabbitmq")
    return Path(program).parent


def _epmd_program() -> str:
    if program := shutil.which("epmd"):
        return program
    beside = sorted(Path(_erlang_folder() / "erl").resolve().parent.parent.glob("erts-*/bin/epmd"))
    if not beside:
        raise sources.missing("rabbitmq")
    return str(beside[-1])
