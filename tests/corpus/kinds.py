"""B0: one message for each rule that a call can break, and for the order of the rules."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.seeds import Refused, Seed, text
from tests.support.poison import bodies, fields, headers, order, properties


def seeds() -> Iterator[Seed]:
    """What unit tests read by themselves, through real servers."""
    for module in (bodies, fields, headers, properties, order):
        for poison in module.KINDS:
            body = poison.body if isinstance(poison.body, bytes) else text(poison.body)
            verdict = Refused(poison.says, poison.type, poison.reason)
            yield Seed(poison.name, verdict, body, poison.properties, poison.routing_key)
