"""Fixtures that every test may ask for."""

from tests.support.services import (
    database_url,
    idle_stack,
    rabbitmq_url,
    redis_url,
    stack,
)

__all__ = ["database_url", "idle_stack", "rabbitmq_url", "redis_url", "stack"]
