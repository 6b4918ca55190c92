"""Fixtures that every test may ask for."""

import signal

from tests.support.services import (
    database_url,
    idle_stack,
    rabbitmq_url,
    redis_url,
    stack,
)

# A job that a shell runs in the background ignores SIGINT, and so would every process it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["database_url", "idle_stack", "rabbitmq_url", "redis_url", "stack"]
