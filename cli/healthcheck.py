"""`lark-service healthcheck`: ask the gateway process of this machine how it is."""

from __future__ import annotations

import http.client
import sys
from typing import Annotated, NoReturn

import typer

from gateway.errors import ConfigError
from gateway.settings import load_settings

from .exits import FAILED

SECONDS = 4.0


def healthcheck_command(
    ready: Annotated[
        bool, typer.Option("--ready", help="Ready for calls, not only alive.")
    ] = False,
) -> None:
    """Exit with 0 when the process answers that it is well, else with 1; for Docker."""
    path = "/readyz" if ready else "/livez"
    try:
        settings = load_settings(only={"LARK_SERVICE_HEALTH_HOST", "LARK_SERVICE_HEALTH_PORT"})
    except ConfigError as error:
        # Docker knows no other code than 1 for unhealthy.
        _fail(str(error))
    if settings.health_port == 0:
        _fail("LARK_SERVICE_HEALTH_PORT is 0, any free port: give the process a port to ask at.")
    host = settings.health_host
    connection = http.client.HTTPConnection(host, settings.health_port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(4096).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or error
        _fail(f"Nobody answers at {host}:{settings.health_port}{path}: {reason}")
    finally:
        connection.close()
    if answer.status != http.client.OK:
        _fail(f"{path} answers {answer.status}:\n{text}")
    sys.stdout.write(f"{text}\n")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(FAILED)
