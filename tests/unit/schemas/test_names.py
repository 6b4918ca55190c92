"""Where replies may be sent."""

from __future__ import annotations

import pytest

from schemas.names import may_reply_to
from tests.support.poison.properties import REPLY_ADDRESSES


@pytest.mark.parametrize("address", REPLY_ADDRESSES)
def test_a_reply_may_not_be_sent_anywhere(address: str) -> None:
    assert not may_reply_to(address)


@pytest.mark.parametrize(
    "address",
    [
        *("amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to.g1h2.x=="),
        *("amq.gen-x", "amq_x", "lark.reply.x", "lark.reply.x.y", "lark.reply.."),
    ],
)
def test_a_reply_may_be_sent_to_a_reply_queue(address: str) -> None:
    assert may_reply_to(address)
