"""The exit codes of every command, and the error that carries one."""

from __future__ import annotations

from typing import Final

FAILED: Final = 1
"""The call or the check failed."""
USAGE: Final = 2
"""The command line or the settings are wrong."""
CREDENTIALS: Final = 3
"""Feishu refuses the app id or the secret."""
CANNOT_REACH: Final = 4
"""RabbitMQ, Redis, Postgres or Feishu cannot be reached."""
DEFECT: Final = 5
"""A defect in this program."""
APP_UNAVAILABLE: Final = 6
"""Feishu says that the app is disabled or not installed."""


class CommandFailed(Exception):
    """The command cannot do its work: a sentence for people, and the exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
