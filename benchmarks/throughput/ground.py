"""What the contestants stand on: private servers, a simulated Feishu, and one process for each."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

import aio_pika

from consumers.topology import Topology
from sandbox.feishu.options import DEFAULT_APP_ID, DEFAULT_SECRET
from sandbox.stack import Stack
from sandbox.stack.processes import ProcessId

from .readings import Cpus

API = "POST /open-apis/im/v1/messages"
LIMITS = f'[limits]\n"{API}" = "60000000/60;1000000/1"\n[resources]\nchat = "none"\n'
"""As many windows as the API has, so high that they never bind."""
END_SECONDS = 10.0
_PROMPT = "sandbox: listening on "
_SERVE = "from cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One consumer under test. `alias` names its queue, so that each has one of its own."""

    name: str
    alias: str
    command: tuple[str, ...]


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("bare", "bare", ("-m", "benchmarks.throughput.bare")),
        Contestant("tuned", "tuned", ("-m", "benchmarks.throughput.tuned")),
        Contestant("gateway", "default", ("-c", _SERVE, "serve")),
    )
}


class Ground:
    """Starts everything and stops what it started; consumers on one CPU, all else on the rest."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._names = names
        self._cpus = Cpus.split()
        self._exit = ExitStack()
        self.logs = root / f"throughput-{secrets.token_hex(4)}"
        """Where the processes' output goes; kept when something failed."""
        self._stack = Stack(self.logs / "stack", given={})
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._settings: dict[str, str] = {}
        self.url = ""
        """Where the simulated Feishu listens."""

    def __enter__(self) -> Self:
        # Children inherit it: whatever is not moved away stays off the consumers' CPU.
        os.sched_setaffinity(0, self._cpus.others)
        try:
            self.logs.mkdir()
            self._stack.__enter__()
            self._exit.push(self._stack)
            asyncio.run(self._declare())
            self.url = self._start_feishu()
            self._settings = self._configure()
            for name in self._names:
                self._start(name, CONTESTANTS[name].command, self._cpus.consumer)
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()
        if kind is None:
            shutil.rmtree(self.logs)

    @property
    def environment(self) -> dict[str, str]:
        """Of every process started here; it holds secrets."""
        inherited = {name: text for name, text in os.environ.items() if "LARK_" not in name}
        return inherited | self._stack.environment() | self._settings

    @property
    def feishu(self) -> int:
        """The process id of the simulated Feishu."""
        return self._processes["feishu"].pid

    def watch(self, contestant: str) -> dict[str, list[int]]:
        """Process ids by what they do, for the contestant being measured."""
        return {
            "consumer": [self._processes[contestant].pid],
            "feishu": [self.feishu],
            **{
                server.name: [process.pid for process in first.family()]
                for server in self._stack.status()
                if server.pid and (first := ProcessId.of(server.pid))
            },
        }

    def latency(self, milliseconds: float) -> None:
        """How long Feishu takes for every answer from now on."""
        self._post("/_sandbox/latency", {"ms": milliseconds})

    def forget(self) -> None:
        """Drop what Feishu remembers, so that its memory does not grow with the run."""
        self._post("/_sandbox/reset", {"tokens": False})

    def _token(self) -> str:
        credentials = {"app_id": DEFAULT_APP_ID, "app_secret": DEFAULT_SECRET}
        path = "/open-apis/auth/v3/tenant_access_token/internal"
        return str(self._post(path, credentials)["tenant_access_token"])

    def check(self) -> None:
        """Raise RuntimeError with the end of its log where a process has ended by itself."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                log = self.logs.joinpath(f"{name}.log").read_text(encoding="utf-8")
                raise RuntimeError(f"{name} ended with code {process.returncode}:\n{log[-2000:]}")

    async def _declare(self) -> None:
        connection = await aio_pika.connect(self._stack.rabbitmq_url)
        async with connection, connection.channel() as channel:
            aliases = [contestant.alias for contestant in CONTESTANTS.values()]
            await Topology.of(aliases).declare(await channel.get_underlay_channel())

    def _start_feishu(self) -> str:
        command = ("-m", "sandbox.feishu", "--no-limits")
        process = self._start("feishu", command, self._cpus.others)
        log = self.logs / "feishu.log"
        while not (text := log.read_text(encoding="utf-8")).startswith(_PROMPT):
            time.sleep(0.05)
            if process.poll() is not None:
                raise RuntimeError(f"the simulated Feishu did not start:\n{text}")
        return text.removeprefix(_PROMPT).strip()

    def _configure(self) -> dict[str, str]:
        limits = self.logs / "limits.toml"
        limits.write_text(LIMITS, encoding="utf-8")
        return {
            "LARK_DOMAIN": self.url,
            "LARK_TOKEN": self._token(),
            "LARK_APP_ID": DEFAULT_APP_ID,
            "LARK_APP_SECRET": DEFAULT_SECRET,
            "LARK_SERVICE_LIMITS_FILE": str(limits),
            "LARK_SERVICE_HEALTH_PORT": "0",
            "LOG_LEVEL": "INFO",
        }

    def _start(
        self, name: str, command: Sequence[str], cpus: frozenset[int]
    ) -> subprocess.Popen[str]:
        with self.logs.joinpath(f"{name}.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                stdout=log,
                stderr=log,
                text=True,
                env=self.environment,
                preexec_fn=lambda: os.sched_setaffinity(0, cpus),
            )
        self._processes[name] = process
        self._exit.callback(_end, process)
        return process

    def _post(self, path: str, body: Any) -> Any:
        request = Request(self.url + path, json.dumps(body).encode(), method="POST")  # noqa: S310
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=10) as response:  # noqa: S310  an address of our own
            return json.loads(response.read() or b"null")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
