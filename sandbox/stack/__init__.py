"""A private, throw-away RabbitMQ, Redis and PostgreSQL for the demo, the tests and benchmarks."""

from sandbox.stack.errors import NotOursError, ServerMissingError, StackError
from sandbox.stack.stack import DEFAULT_DIRECTORY, NAMES, ServerStatus, Stack

__all__ = [
    "DEFAULT_DIRECTORY",
    "NAMES",
    "NotOursError",
    "ServerMissingError",
    "ServerStatus",
    "Stack",
    "StackError",
]
