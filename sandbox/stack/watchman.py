"""A small process that ends the servers when the process that started them is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


class Watchman:
    """Holds one end of a pipe; when our end closes, even by SIGKILL, it ends the stack."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.stack.watch", str(directory)],
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """End it without its ending anything."""
        self._process.kill()
        self._process.communicate()
