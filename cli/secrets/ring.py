"""The key ring for one command."""

from __future__ import annotations

from typing import Final

from cli.database import POSTGRES
from cli.exits import USAGE, CommandFailed
from gateway.crypto import KeyRing
from gateway.settings import Settings

NEEDED: Final = POSTGRES | {"LARK_SERVICE_SECRET_KEY", "REDIS_URL"}


def own_ring(settings: Settings) -> KeyRing:
    """The ring of LARK_SERVICE_SECRET_KEY; raises CommandFailed where that is not set."""
    if settings.secret_key is None:
        raise CommandFailed(
            USAGE,
            "LARK_SERVICE_SECRET_KEY is not set. Without it only tokens are stored, under a key "
            "that is derived from LARK_APP_SECRET, and they are sealed anew by themselves.",
        )
    return KeyRing.of(settings.secret_key, settings.app_secret)
