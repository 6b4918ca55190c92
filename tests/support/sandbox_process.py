"""The simulated Feishu as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

PROMPT = "sandbox: listening on "


@contextmanager
def sandbox_process(
    *arguments: str, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its URL and the process; SIGTERM must end it cleanly unless it has ended already."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LARK_")}
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox.feishu", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=inherited | environment,
    ) as process:
        try:
            yield _url(process.stdout), process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert code == 0


def _url(stdout: IO[str] | None) -> str:
    assert stdout is not None
    line = stdout.readline()
    assert line.startswith(PROMPT), line
    return line.removeprefix(PROMPT).strip()
