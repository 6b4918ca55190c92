"""The processes that the demo starts beside the servers: a simulated Feishu and the gateway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cli.exits import FAILED, CommandFailed
from gateway.environment import forms_of
from gateway.settings import SECRETS, Settings
from sandbox.stack.ports import free_ports

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_LOG_LINES = 15


@dataclass(frozen=True, slots=True)
class Gateway:
    """One running `lark-service serve`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it is still the process that was started."""
        return self.process.poll() is None

    @property
    def url(self) -> str:
        """Where it answers /readyz and /metrics."""
        return f"http://127.0.0.1:{self.port}"


class Children:
    """Starts the processes and stops them, gateways first; they also end with this process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._account: dict[str, str] = {}
        self._sandbox: subprocess.Popen[bytes] | None = None
        self.gateways: list[Gateway] = []

    def __enter__(self) -> Self:
        # The settings of this directory and this shell are those of somebody's gateway.
        self._sandbox = self._start(
            "sandbox", {}, "sandbox", "--port", "0", "--latency", "20", "--json"
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        gateways = [gateway.process for gateway in self.gateways]
        for group in (gateways, [self._sandbox] if self._sandbox else []):
            for process in group:
                process.send_signal(signal.SIGTERM)
            for process in group:
                _wait(process)

    def feishu(self) -> str:
        """The address of the simulated Feishu, once it listens."""
        if not self._account and self._sandbox and self._sandbox.stdout:
            line = self._sandbox.stdout.readline()
            if not line:
                raise _ended("The simulated Feishu", self._log("sandbox"))
            self._account = json.loads(line)
        return self._account["LARK_DOMAIN"]

    def start_gateways(self, count: int, servers: Mapping[str, str]) -> None:
        """Start so many gateway processes on these servers and wait until they take calls."""
        self.feishu()
        for number, port in enumerate(free_ports(count), start=1):
            name = f"gateway-{number}"
            environment = {**servers, **self._account, "LARK_SERVICE_HEALTH_PORT": str(port)}
            process = self._start(name, environment, "serve")
            self.gateways.append(Gateway(process, port, self._log(name)))
        deadline = time.monotonic() + READY_SECONDS
        for gateway in self.gateways:
            while not _is_ready(gateway):
                if not gateway.alive or time.monotonic() > deadline:
                    raise _ended("A gateway process", gateway.log)
                time.sleep(_POLL_SECONDS)

    def forget_logs(self) -> None:
        """Delete what the processes wrote; for a run in which nothing went wrong."""
        for log in self._directory.glob("*.log"):
            log.unlink()
        with suppress(OSError):
            self._directory.rmdir()

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _start(
        self, name: str, environment: Mapping[str, str], *words: str
    ) -> subprocess.Popen[bytes]:
        with self._log(name).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cli.demo.child", *words],
                env={**clean_environment(os.environ), **environment},
                cwd=self._directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name == "sandbox" else log,
                stderr=log,
                # A Ctrl-C in the terminal is for the demo, which ends them in order.
                start_new_session=True,
            )


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the gateway's own settings, which may be those of a real one."""
    settings = {*Settings.variables(), *(form for name in SECRETS for form in forms_of(name))}
    return {
        name: value
        for name, value in environment.items()
        if name not in settings and not name.startswith("POSTGRES_")
    }


def _is_ready(gateway: Gateway) -> bool:
    try:
        with urllib.request.urlopen(f"{gateway.url}/readyz", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _ended(what: str, log: Path) -> CommandFailed:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    told = "\n".join(lines) or "It wrote nothing."
    return CommandFailed(FAILED, f"{what} did not start. The end of {log}:\n{told}")
