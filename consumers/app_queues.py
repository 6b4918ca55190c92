"""Whose queues are declared and consumed, and whose are on their way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.apps import Apps
from schemas import names

from .intake import Source
from .topology import Topology


class AppQueues:
    """Follows the apps and pools; what left them is consumed until its queues are empty."""

    def __init__(self, apps: Apps) -> None:
        self._apps = apps
        self._known: set[str] = set()
        """Aliases that this process declared the queues of."""
        self._to_empty: dict[str, tuple[str, ...]] = {}

    @property
    def leaving(self) -> frozenset[str]:
        """Whose queues must go: what is removed, and what is no more and was known here.

        Of the latter kind is what was purged while this process could not read the apps.
        """
        return (self._apps.removed | self._known) - self._apps.aliases

    @property
    def aliases(self) -> frozenset[str]:
        """All whose calls this process takes, if only to refuse them."""
        return self._apps.aliases | self.leaving

    def sources(self) -> Mapping[str, Source]:
        """What to declare and consume now."""
        present = sorted(self._apps.aliases)
        self._known.update(present)
        sources = {"what is shared": Source(Topology.shared(), ())}
        for alias in present:
            self._to_empty.pop(alias, None)
            sources[alias] = Source(Topology.of_app(alias), _queues_of(alias))
        for alias in sorted(self.leaving):
            # Declared again they would be bound again.
            to_empty = self._to_empty.get(alias, _queues_of(alias))
            sources[f"the rest of {alias}"] = Source(None, to_empty)
        return sources

    def leave(self, alias: str, to_empty: Iterable[str]) -> bool:
        """Consume only these queues of an alias that leaves; say whether they were others."""
        before = self._to_empty.get(alias)
        self._to_empty[alias] = tuple(to_empty)
        return before != self._to_empty[alias]

    def forget(self, alias: str) -> None:
        """The queues of an alias that left are gone."""
        self._known.discard(alias)
        self._to_empty[alias] = ()


def declared_only(sources: Mapping[str, Source]) -> Mapping[str, Source]:
    """The same without taking anything: what is published meanwhile has queues to wait in."""
    return {name: Source(source.topology, ()) for name, source in sources.items()}


def _queues_of(alias: str) -> tuple[str, ...]:
    lanes = (names.calls_queue(alias, lane) for lane in names.LANES)
    return (*lanes, names.retry_queue(alias))
