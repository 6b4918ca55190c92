"""`lark-service serve`: one gateway process."""

from __future__ import annotations

from consumers.serve import serve
from gateway.errors import ConfigError
from gateway.settings import load_settings


def serve_command() -> None:
    """Run one gateway process. SIGTERM drains it; SIGHUP has it read changed secrets."""
    try:
        serve(load_settings)
    except* ConfigError as group:
        # A part that runs beside others fails in a group; the first one says why.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
