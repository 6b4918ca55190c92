"""Logs of the process: one line an event, on standard error."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Literal

import structlog

from gateway.redaction import Redactor

NOISY = ("aio_pika", "aiormq", "asyncio", "aiohttp", "redis")
"""Libraries whose debug lines may hold headers, and so tokens; they stay at WARNING."""


class RedactedFormatter(logging.Formatter):
    """Formats the lines of libraries, tracebacks and all, without secrets."""

    def __init__(self, form: str, redactor: Redactor) -> None:
        super().__init__(form)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The line as the library means it, masked as a whole."""
        return self._redactor.text(super().format(record))


class LineLogger:
    """Writes each line at once to a file descriptor, and loses what cannot be written.

    Whoever reads the log may go away, and its disk may be full: the calls go on.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def msg(self, line: str) -> None:
        """Write one line."""
        with suppress(OSError):
            os.write(self._descriptor, f"{line}\n".encode("utf-8", "backslashreplace"))

    log = debug = info = warning = error = critical = exception = msg


def configure_logging(level: str, form: Literal["json", "console"], redactor: Redactor) -> None:
    """Set up structlog and the libraries' loggers; called once, by the process's entry point."""
    number = logging.getLevelNamesMapping()[level]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactedFormatter("%(levelname)s %(name)s %(message)s", redactor))
    logging.basicConfig(handlers=[handler], level=number)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if form == "console":
        # Plain, since the pretty one shows the variables of every frame.
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redactor.event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: LineLogger(sys.stderr.fileno()),
        cache_logger_on_first_use=True,
    )
