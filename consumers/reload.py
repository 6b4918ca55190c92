"""Takes up changed settings while calls go on: the key ring and the app secret, on SIGHUP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import structlog

from gateway.apps import DEFAULT_ALIAS, App, Apps
from gateway.crypto import KeyRing
from gateway.errors import ConfigError, GatewayError
from gateway.redaction import Redactor
from gateway.settings import Settings

TAKEN_UP: Final = {"app_secret": "LARK_APP_SECRET", "secret_key": "LARK_SERVICE_SECRET_KEY"}
"""The settings that need no restart: field and variable."""

log = structlog.get_logger()


class Reload:
    """Reads the settings again when asked to. Where anything is wrong, all stays as it was."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        apps: Apps,
        keys: KeyRing,
        redactor: Redactor,
    ) -> None:
        """*read* may block, and raises ConfigError."""
        self._settings = settings
        self._read = read
        self._apps = apps
        self._keys = keys
        self._redactor = redactor
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have the settings read again, soon; for a signal handler."""
        self._asked.set()

    async def run(self, reread_apps: Callable[[], Awaitable[None]]) -> None:
        """Serve those who ask, until cancelled; *reread_apps* may raise GatewayError."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                changed = await self._take_up()
            except ConfigError as error:
                log.warning("settings not taken up", mistakes=str(error).splitlines())
                continue
            try:
                # Also where nothing changed here: another ring may open what was unreadable.
                await reread_apps()
            except GatewayError as error:
                log.warning("apps not read again", reason=error.message)
            log.info(
                "settings taken up",
                changed=[TAKEN_UP[name] for name in changed if name in TAKEN_UP],
                need_restart=[_variable(name) for name in changed if name not in TAKEN_UP],
                keys=self._keys.key_ids,
            )

    async def _take_up(self) -> list[str]:
        """Read the settings, take them and return which fields changed; raises ConfigError."""
        # In a thread, since the command that gives the key ring may take seconds.
        settings = await asyncio.to_thread(self._read)
        keys = self._checked(settings)
        for secret in settings.secrets():
            self._redactor.learn(secret)
        changed = _changed(self._settings, settings)
        self._keys.renew(keys)
        taken = {name: getattr(settings, name) for name in TAKEN_UP}
        self._settings = self._settings.model_copy(update=taken)
        own = self._apps.get(DEFAULT_ALIAS)
        self._apps.put(replace(own, secret=settings.app_secret))
        return changed

    def _checked(self, settings: Settings) -> KeyRing:
        own: App = self._apps.get(DEFAULT_ALIAS)
        if (settings.app_id, settings.domain) != (own.app_id, own.domain):
            raise ConfigError("LARK_APP_ID, LARK_DOMAIN: another app takes a restart")
        keys = KeyRing.of(settings.secret_key, settings.app_secret)
        if keys.derived and not self._keys.derived:
            raise ConfigError("LARK_SERVICE_SECRET_KEY: is gone; what it sealed would be lost")
        return keys


def _changed(before: Settings, after: Settings) -> list[str]:
    fields = Settings.model_fields
    return [name for name in fields if getattr(before, name) != getattr(after, name)]


def _variable(name: str) -> str:
    return str(Settings.model_fields[name].alias)
