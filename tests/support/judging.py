"""What tests ask of a reply and of the simulated Feishu's ledger."""

from __future__ import annotations

import secrets
from typing import Any

from sandbox.feishu import SandboxFeishu
from tests.support.amqp import Message
from tests.support.gateway import api_requests


def unique(magic: str) -> str:
    return f"{magic}-{secrets.token_hex(4)}"


def requests_of(simulated: SandboxFeishu, magic: str) -> list[dict[str, Any]]:
    """What arrived for a magic id, wherever in the request it stands."""
    numbers = {
        capture.number
        for capture in simulated.world.ledger.captures
        if magic in capture.target or magic.encode() in capture.body
    }
    return [entry for entry in api_requests(simulated) if entry["number"] in numbers]


def assert_error(reply: Message, type_: str, outcome: str, *, retryable: bool) -> None:
    assert reply.json["ok"] is False
    assert reply.error["type"] == type_
    assert reply.error["outcome"] == outcome
    assert reply.error["retryable"] is retryable
