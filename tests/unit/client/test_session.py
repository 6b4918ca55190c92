from __future__ import annotations

import pytest
from lark_service_client.session import with_heartbeat


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("amqp://mq", "amqp://mq?heartbeat=10"),
        ("amqp://u:p@mq:5672/%2F", "amqp://u:p@mq:5672/%2F?heartbeat=10"),
        ("amqps://mq/lark?cafile=ca.pem", "amqps://mq/lark?cafile=ca.pem&heartbeat=10"),
        ("amqp://mq/lark?heartbeat=30", "amqp://mq/lark?heartbeat=30"),
    ],
)
def test_the_address_keeps_its_own_heartbeat_or_gets_ours(url: str, used: str) -> None:
    assert with_heartbeat(url) == used
