"""Logs of the process: one line an event, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

NOISY = ("aio_pika", "aiormq", "asyncio", "aiohttp", "redis")
"""Libraries whose debug lines may hold headers, and so tokens; they stay at WARNING."""


def configure_logging(level: str, form: Literal["json", "console"]) -> None:
    """Set up structlog and the libraries' loggers; called once, by the process's entry point."""
    number = logging.getLevelNamesMapping()[level]
    plain = "%(levelname)s %(name)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=number, format=plain)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        processors += [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        processors.append(structlog.dev.ConsoleRenderer())
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
