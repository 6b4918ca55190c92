"""Tells stores how calls ended, and remembers what they could not be told."""

from __future__ import annotations

import asyncio

import structlog

from .protocol import Question
from .store import Store, StoreAway
from .unwritten import Entry, Unwritten

_AT_ONCE = 100

log = structlog.get_logger(__name__)


class Writer:
    """Writes ends and hand-backs; what a store that is away missed is written when it is back."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unwritten = Unwritten()
        self._full = False
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def unwritten(self) -> int:
        """Entries that the store has not been told."""
        return len(self._unwritten)

    def kept_of(self, question: Question) -> Entry | None:
        """What the store has not been told of a call."""
        return self._unwritten.of(question)

    def keep(self, entry: Entry) -> None:
        """Remember an entry for when the store is back."""
        dropped = self._unwritten.add(entry)
        if dropped and not self._full:
            log.warning("ends of calls are forgotten: their store is away for too long")
        self._full = self._full or bool(dropped)

    async def write(self, entry: Entry) -> None:
        """Tell the store, or remember it."""
        if not await self._told(entry):
            self.keep(entry)

    async def catch_up(self) -> None:
        """Tell the store what it missed, as far as it answers."""
        while entries := self._unwritten.first(_AT_ONCE):
            if not all(await asyncio.gather(*(self._told(entry) for entry in entries))):
                return
        self._full = False

    def superseded(self, entry: Entry) -> None:
        """Forget an entry: its call was claimed anew."""
        self._unwritten.remove(entry)

    def tell_too(self, arbiter: Store, entry: Entry) -> None:
        """Tell the arbiter as well, for which nobody waits."""
        task = asyncio.create_task(_tell_too(arbiter, entry), name="outcomes-arbiter")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Wait for what is being told, and try once more to tell the rest."""
        if self._telling:
            await asyncio.wait(self._telling)
        await self.catch_up()

    async def _told(self, entry: Entry) -> bool:
        try:
            await tell(self._store, entry)
        except StoreAway:
            return False
        self._unwritten.remove(entry)
        return True


async def tell(store: Store, entry: Entry) -> None:
    """Write an entry; raises StoreAway."""
    if entry.recorded is not None:
        await store.complete(entry.question, entry.recorded)
        return
    await store.hand_back(entry.question, remember=entry.remember, keeps_age=entry.keeps_age)


async def _tell_too(arbiter: Store, entry: Entry) -> None:
    try:
        await tell(arbiter, entry)
    except StoreAway as away:
        # Its row then stays for a day, and says no more than that the call was started.
        log.info("outcome not recorded twice", reason=str(away))
