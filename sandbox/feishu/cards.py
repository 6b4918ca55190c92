"""Cards of cardkit: each update must come with a sequence above the card's last."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .answers import Answer, failure, field_violation, success
from .repeats import Behaviour
from .request import ApiRequest

_CARDS = "/open-apis/cardkit/v1/cards"
_CARD = f"{_CARDS}/:card_id"
_ELEMENT = f"{_CARD}/elements/:element_id"
_UPDATES = (
    f"PUT {_CARD}",
    f"PATCH {_CARD}/settings",
    f"POST {_CARD}/batch_update",
    f"POST {_CARD}/elements",
    f"PUT {_ELEMENT}",
    f"PATCH {_ELEMENT}",
    f"DELETE {_ELEMENT}",
    f"PUT {_ELEMENT}/content",
)
_UUID_LENGTH = 64
_KEPT = 50_000


@dataclass(slots=True)
class Card:
    """What an update did: `refused` is those whose sequence was not above `sequence`."""

    sequence: int = 0
    updates: int = 0
    refused: int = 0


class Cards:
    """A card exists as soon as it is updated; `check_sequence` False takes any sequence."""

    def __init__(self, *, check_sequence: bool = True) -> None:
        self.check_sequence = check_sequence
        self._cards: dict[str, Card] = {}

    def behaviours(self) -> Mapping[str, Behaviour]:
        return {f"POST {_CARDS}": self.create} | dict.fromkeys(_UPDATES, self.update)

    def create(self, _: ApiRequest) -> Answer:
        card_id = str(7_000_000_000_000_000_000 + secrets.randbits(60))
        self._card(card_id)
        return success({"card_id": card_id})

    def update(self, request: ApiRequest) -> Answer:
        body = request.json or {}
        sequence, uuid = body.get("sequence"), body.get("uuid", "")
        if not isinstance(sequence, int) or isinstance(sequence, bool):
            return field_violation("sequence", "sequence is required")
        if not isinstance(uuid, str) or len(uuid) > _UUID_LENGTH:
            return field_violation("uuid", f"the max len is {_UUID_LENGTH}", str(uuid))
        card = self._card(request.param("card_id"))
        if self.check_sequence and sequence <= card.sequence:
            card.refused += 1
            return failure(400, 300317, "sequence number compare failed")
        card.sequence = max(sequence, card.sequence)
        card.updates += 1
        return success()

    def clear(self) -> None:
        self._cards.clear()

    def shown(self, limit: int = 100) -> dict[str, dict[str, Any]]:
        """The newest cards by id."""
        return {
            card_id: {"sequence": c.sequence, "updates": c.updates, "refused": c.refused}
            for card_id, c in list(self._cards.items())[-limit:]
        }

    def _card(self, card_id: str) -> Card:
        card = self._cards.get(card_id)
        if card is None:
            if len(self._cards) >= _KEPT:
                del self._cards[next(iter(self._cards))]
            card = self._cards[card_id] = Card()
        return card
