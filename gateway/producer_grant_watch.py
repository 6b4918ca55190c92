"""Keeps a process's producer grants as Postgres has them, while calls are made."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from .app_rows import RegistryError
from .errors import GatewayError
from .producer_grant_store import ProducerGrantStore
from .producer_grants import ProducerGrants

LOOK_SECONDS: Final = 0.5

log = structlog.get_logger()


class ProducerGrantWatch:
    """Looks at the registry's revision twice a second, and reads the grants where it is another.

    While Postgres is away they stay as last read. Until they were read once nobody knows whether
    there are any: `settled` is set then, or, where they are not *required*, after the first look.
    """

    def __init__(
        self, store: ProducerGrantStore, grants: ProducerGrants, *, required: bool
    ) -> None:
        self._store = store
        self._grants = grants
        self._required = required
        self._revision: int | None = None
        self.settled = asyncio.Event()
        """Calls may be taken."""

    async def run(self) -> None:
        """Follow every change until cancelled."""
        reason = ""
        while True:
            before, reason = reason, await self._look()
            if reason and reason != before:
                log.warning("producer grants not read", reason=reason, effect=self._effect())
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> str:
        """Take up what is new; returns why that could not be, or nothing."""
        try:
            revision = await self._store.revision()
            if revision != self._revision:
                grants = [stored.grant for stored in await self._store.read()]
                self._grants.replace(grants)
                self._revision = revision
                producers = sorted({grant.producer for grant in grants})
                log.info("producer grants read", grants=len(grants), producers=producers)
        except GatewayError as error:
            if not self._required:
                self.settled.set()
            return error.message
        except RegistryError as error:
            # Written past the commands. A newer version's row, too, must not open what it closes.
            return str(error)
        self.settled.set()
        return ""

    def _effect(self) -> str:
        if self._revision is not None:
            return "those last read hold"
        if self.settled.is_set():
            return "until they are, every producer may call everything"
        return "until they are, no call is taken"
