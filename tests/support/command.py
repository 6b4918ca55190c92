"""`lark-service …` as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from gateway.environment import forms_of
from gateway.settings import SECRETS, Settings
from tests.support.forks import fork

COMMAND = (sys.executable, "-c", "from cli.main import main; main()")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SECONDS = 60.0


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, parsed."""
        return json.loads(self.out)


async def run(*words: str, folder: Path, stdin: str = "", **settings: str) -> Ran:
    """Run a command in a folder, with these settings and no other."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        process = await fork(
            *words,
            env=_environment(settings),
            cwd=folder,
            stdin=given,
            stdout=out,
            stderr=err,
        )
        try:
            async with asyncio.timeout(SECONDS):
                code = await process.wait()
        finally:
            process.kill()
            await process.wait()
        out.seek(0)
        err.seek(0)
        return Ran(code, out.read().decode(), err.read().decode())


async def run_script(name: str, *words: str, folder: Path, **settings: str) -> Ran:
    """Run one of `scripts/`, likewise."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPTS / name), *words),
        env=_environment(settings),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ran(int(process.returncode or 0), out.decode(), err.decode())


def _environment(settings: dict[str, str]) -> dict[str, str]:
    return plain_environment() | {"COLUMNS": "200"} | settings


def plain_environment() -> dict[str, str]:
    """The environment of the tests without settings of the gateway."""
    own = {*Settings.variables(), *(form for name in SECRETS for form in forms_of(name))}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in own and not name.startswith("POSTGRES_")
    }


def processes_in(folder: Path) -> list[str]:
    """The command lines of all processes that work in a folder or below it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            at = (entry / "cwd").readlink()
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            # Gone meanwhile, or of an account whose processes we did not start.
            continue
        if line and at.is_relative_to(folder):
            found.append(line)
    return found
