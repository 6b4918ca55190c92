"""`lark-service stack` from one process to the next."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.stack.processes import ProcessId

_COMMAND = [sys.executable, "-c", "from cli.main import main; main()", "stack"]


def _stack(*arguments: str, code: int = 0) -> str:
    done = subprocess.run([*_COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def _processes(directory: Path) -> list[ProcessId]:
    state: dict[str, Any] = json.loads((directory / "state.json").read_text())
    return [
        ProcessId(entry["pid"], entry["started"])
        for server in state["servers"].values()
        for entry in server["processes"].values()
    ]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "stack"


def test_a_stack_outlives_the_command_until_another_ends_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("RABBITMQ_URL", "REDIS_URL", "DATABASE_URL", "POSTGRES_HOST"):
        monkeypatch.delenv(variable, raising=False)
    there = ("--directory", str(directory))

    started = json.loads(_stack("up", "--json", *there))
    processes = _processes(directory)
    try:
        assert [server["state"] for server in started["servers"]] == ["running"] * 3
        assert all(":***@" in server["url"] for server in started["servers"])
        assert Path(started["environment_file"]).read_text().count("_URL=") == 3
        _stack("status", *there)
        assert "already runs" in _stack("up", *there, code=1)
    finally:
        _stack("down", "--purge", *there)

    assert not any(process.alive for process in processes)
    assert not directory.exists()
    assert "No stack was started" in _stack("status", *there, code=1)
