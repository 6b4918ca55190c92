"""Commands say themselves what goes wrong: what the gateway's parts log would say it twice."""

from __future__ import annotations

from consumers.logs import configure_logging
from gateway.redaction import Redactor


def be_quiet() -> None:
    """Log nothing from now on but what a process must not be killed for."""
    configure_logging("CRITICAL", "console", Redactor())
