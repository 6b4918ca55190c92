"""The files of a run directory: what runs, and the secrets that its data was made with."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_STATE = "state.json"
_SECRETS = "secrets.json"
_ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once per run directory, since the kept data of the servers holds them too."""

    password: str
    secret_key: str


class RunDirectory:
    """A directory of one stack; every file in it is readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock = threading.Lock()

    def create(self) -> None:
        """Make the directory when it is missing; others may pass through it but not list it."""
        self.path.mkdir(mode=0o711, parents=True, exist_ok=True)

    def read_state(self) -> dict[str, Any] | None:
        """The last written state, None when there is none."""
        try:
            state: dict[str, Any] = json.loads((self.path / _STATE).read_text())
        except FileNotFoundError:
            return None
        return state

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state at once, so that a reader never sees half of it."""
        with self._lock:
            self._write(_STATE, json.dumps(state, indent=2))

    def secrets(self) -> Secrets:
        """The secrets of this directory, made on first use."""
        try:
            return Secrets(**json.loads((self.path / _SECRETS).read_text()))
        except FileNotFoundError:
            made = Secrets(password=secrets.token_hex(16), secret_key=secrets.token_hex(32))
        self.create()
        self._write(_SECRETS, json.dumps(asdict(made)))
        return made

    def write_environment(self, variables: Mapping[str, str]) -> Path:
        """Write the variables as lines that a shell can read, and tell where."""
        lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
        return self._write(_ENVIRONMENT, lines)

    def remove(self) -> None:
        """Delete our own files, and the directory when nobody else's are left in it."""
        for name in (_STATE, _SECRETS, _ENVIRONMENT):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _write(self, name: str, text: str) -> Path:
        draft = self.path / f"{name}.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        return draft.replace(self.path / name)
