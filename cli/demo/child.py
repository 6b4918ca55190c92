"""Runs `lark-service …` for the demo, and ends with the process that started it.

Its input is a pipe that the demo holds: it closes when the demo ends, even by SIGKILL.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from cli.main import main

_PATIENCE_SECONDS = 5.0


def _follow() -> None:
    while os.read(0, 1):
        pass
    # The first signal lets a gateway finish what it has started, the second does not.
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE_SECONDS)


if __name__ == "__main__":
    threading.Thread(target=_follow, daemon=True).start()
    main()
