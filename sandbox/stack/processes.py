"""Processes named so that a reused pid is never mistaken for the process that was started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_DEAD = "ZXx"
_PAUSED = "Tt"


@dataclass(frozen=True, slots=True)
class _Entry:
    state: str
    parent: int
    started: str


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid with its start time, which together stay unique when the kernel reuses the pid."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The living process with this pid, None when there is none."""
        entry = _entry(pid)
        return None if entry is None or entry.state in _DEAD else cls(pid, entry.started)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return ProcessId.of(self.pid) == self

    @property
    def paused(self) -> bool:
        """Whether the process is held by SIGSTOP."""
        entry = _entry(self.pid)
        return entry is not None and entry.started == self.started and entry.state in _PAUSED

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process only; does nothing when it is gone."""
        if not hasattr(os, "pidfd_open"):
            if self.alive:
                os.kill(self.pid, number)
            return
        try:
            # The descriptor holds the process, so the check cannot become stale before the signal.
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)

    def family(self) -> list[ProcessId]:
        """This process and everything it started, parents first."""
        children: dict[int, list[ProcessId]] = {}
        for pid in _pids():
            entry = _entry(pid)
            if entry is not None and entry.state not in _DEAD:
                children.setdefault(entry.parent, []).append(ProcessId(pid, entry.started))
        found = [self] if self.alive else []
        for process in found:
            found.extend(children.get(process.pid, []))
        return found

    def wait_gone(self, seconds: float) -> bool:
        """Wait until the process has ended; False when it still runs after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _pids() -> Iterator[int]:
    if _PROC.joinpath("self").exists():
        for path in _PROC.iterdir():
            if path.name.isdigit():
                yield int(path.name)
        return
    command = ["/bin/ps", "-axo", "pid="]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)
    for word in listing.stdout.split():
        yield int(word)


def _entry(pid: int) -> _Entry | None:
    if not _PROC.joinpath("self").exists():
        return _entry_from_ps(pid)
    try:
        line = _PROC.joinpath(str(pid), "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold spaces and brackets; the fields start after its last bracket.
    fields = line[line.rindex(")") + 2 :].split()
    return _Entry(state=fields[0], parent=int(fields[1]), started=fields[19])


def _entry_from_ps(pid: int) -> _Entry | None:
    columns = ["-o", "stat=", "-o", "ppid=", "-o", "lstart="]
    answer = subprocess.run(
        ["/bin/ps", *columns, "-p", str(pid)], capture_output=True, text=True, check=False
    )
    fields = answer.stdout.split(None, 2)
    if len(fields) < 3:
        return None
    return _Entry(state=fields[0][0], parent=int(fields[1]), started=fields[2].strip())
