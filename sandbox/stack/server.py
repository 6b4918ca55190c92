"""One private server process: start, stop, kill, pause, restart on the same port."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from sandbox.stack.errors import StackError
from sandbox.stack.ports import free_ports, is_free
from sandbox.stack.processes import ProcessId

_POLL_SECONDS = 0.03
_LOG_LINES = 15
MAIN = "server"


class Server(ABC):
    """A server process on loopback that keeps its ports and its data over restarts.

    Data survives `kill`, `stop` and `restart`; only `restart(keep=False)` and `erase` lose it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]] = ("main",)
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_seconds: ClassVar[float] = 60
    stop_seconds: ClassVar[float] = 15

    def __init__(self, directory: Path, password: str, changed: Callable[[], None]) -> None:
        """`changed` is called after every change of `snapshot`, before anybody waits."""
        self.directory = directory
        self.password = password
        self.ports: dict[str, int] = {}
        self.processes: dict[str, ProcessId] = {}
        self._changed = changed
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @property
    @abstractmethod
    def url(self) -> str:
        """The address for clients, with the password."""

    @abstractmethod
    def _run(self) -> None:
        """Prepare the data and start the processes with `_spawn`."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether clients are served now."""

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self.ports["main"]

    @property
    def process(self) -> ProcessId | None:
        """The living server process, paused or not; None when there is none."""
        process = self.processes.get(MAIN)
        return process if process is not None and process.alive else None

    @property
    def running(self) -> bool:
        """Whether the server process is there, paused or not."""
        return self.process is not None

    def launch(self) -> None:
        """Start the process without waiting for it; one that runs is only resumed if paused."""
        if process := self.process:
            if process.paused:
                self.resume()
            return
        # 711 lets the account of Postgres pass through to its data without listing the rest.
        self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        if not self.ports:
            numbers = free_ports(len(self.port_names))
            self.ports = dict(zip(self.port_names, numbers, strict=True))
        self._run()

    def await_ready(self) -> None:
        """Wait until clients are served; raises StackError with the end of the log otherwise."""
        deadline = time.monotonic() + self.start_seconds
        while not self._ready():
            if not self.running:
                raise StackError(f"{self.title} ended while starting:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise StackError(
                    f"{self.title} was not ready after {self.start_seconds:g} s:\n{self.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def start(self) -> None:
        """Start the server and wait until it serves clients."""
        self.launch()
        self.await_ready()

    def stop(self) -> None:
        """End the server as its own manual says, by SIGKILL when that takes too long."""
        if process := self.process:
            self.resume()
            process.send(self.stop_signal)
            if not process.wait_gone(self.stop_seconds):
                self.kill()
        self._end_helpers()
        self._forget()

    def kill(self) -> None:
        """End the server and all it started by SIGKILL, as a crash would."""
        process = self.processes.get(MAIN)
        if process is None:
            return
        family = process.family()
        for member in family:
            member.send(signal.SIGKILL)
        for member in family:
            member.wait_gone(self.stop_seconds)
        self._forget(MAIN)

    def restart(self, *, keep: bool = True) -> None:
        """Stop and start on the same port; `keep=False` starts with no data."""
        self.stop()
        if not keep:
            self.erase()
        self.start()

    def pause(self) -> None:
        """Hold the server and all it started: connections stay open, nothing answers."""
        self._signal_family(signal.SIGSTOP)
        # The kernel stops a process when it next schedules it, which may be after our return.
        while (process := self.process) and not process.paused:
            time.sleep(0.001)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal_family(signal.SIGCONT)

    def erase(self) -> None:
        """Delete the data of a server that does not run."""
        if self.running:
            raise StackError(f"{self.title} runs; stop it before its data is deleted.")
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def log_tail(self) -> str:
        """The last lines that the server wrote."""
        if not self._log.exists():
            return "(it wrote nothing)"
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])

    def snapshot(self) -> dict[str, Any]:
        """What another process needs to find and end this server."""
        return {
            "ports": self.ports,
            "processes": {
                role: {"pid": process.pid, "started": process.started}
                # A copy, since another thread may restart another server meanwhile.
                for role, process in tuple(self.processes.items())
            },
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take over what `snapshot` recorded; ports that somebody else has taken since are left."""
        self.ports = dict(snapshot["ports"])
        self.processes = {
            role: ProcessId(entry["pid"], entry["started"])
            for role, entry in snapshot["processes"].items()
        }
        ours = any(process.alive for process in self.processes.values())
        if not ours and not all(is_free(port) for port in self.ports.values()):
            self.ports = {}

    @property
    def _log(self) -> Path:
        return self.directory / "output.log"

    def _spawn(
        self, role: str, command: list[str], environment: Mapping[str, str], **options: Any
    ) -> None:
        with self._log.open("ab") as log:
            child = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=options.pop("cwd", self.directory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal must not end the servers before their clients.
                start_new_session=True,
                **options,
            )
        self._children[role] = child
        process = ProcessId.of(child.pid)
        if process is None:
            raise StackError(f"{self.title} ended at once:\n{self.log_tail()}")
        self.processes[role] = process
        self._changed()

    def _signal_family(self, number: signal.Signals) -> None:
        if self.process is None:
            raise StackError(f"{self.title} does not run.")
        for member in self.process.family():
            member.send(number)

    def _end_helpers(self) -> None:
        for role, process in self.processes.items():
            if role != MAIN:
                process.send(signal.SIGTERM)
                if not process.wait_gone(self.stop_seconds):
                    process.send(signal.SIGKILL)

    def _forget(self, *roles: str) -> None:
        for role in roles or tuple(self.processes):
            self.processes.pop(role, None)
            if child := self._children.pop(role, None):
                child.wait()
        self._changed()
