"""What the watchman process runs: wait for the end of its input, then stop the stack."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from sandbox.stack.errors import StackError
from sandbox.stack.stack import Stack

if __name__ == "__main__":
    sys.stdin.buffer.read()
    with contextlib.suppress(StackError):
        Stack.attach(Path(sys.argv[1])).stop()
