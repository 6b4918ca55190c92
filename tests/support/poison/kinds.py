"""One kind of poison: a message that is no call, and what must become of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.producer import ROUTING_KEY

CALL: Mapping[str, Any] = {"method": "GET", "path": "/open-apis/contact/v3/users/ou_poison"}
"""A call that is carried out, unless something is done to it."""


@dataclass(frozen=True)
class Poison:
    """`says` are words that the error's message must hold: the field and the rule.

    `within` is seconds; more than one where the broker alone needs longer to pass the message on.
    """

    name: str
    body: Any = field(default_factory=lambda: CALL)
    says: tuple[str, ...] = ()
    type: str = "invalid_call"
    reason: str = "invalid_call"
    properties: Mapping[str, Any] = field(default_factory=dict)
    routing_key: str = ROUTING_KEY
    within: float = 1.0


def call_with(**changes: Any) -> dict[str, Any]:
    """The good call with other fields; `as_` stands for `as`, a value of `...` leaves one out."""
    fields = {"as" if name == "as_" else name: value for name, value in changes.items()}
    return {name: value for name, value in {**CALL, **fields}.items() if value is not ...}


def parametrized(kinds: Iterable[Poison]) -> pytest.MarkDecorator:
    """A test for each."""
    return pytest.mark.parametrize("poison", [pytest.param(kind, id=kind.name) for kind in kinds])
