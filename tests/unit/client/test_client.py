from __future__ import annotations

import pytest
from lark_service_client import LarkClient


@pytest.mark.parametrize("url", ["", "mq:5672", "http://mq", "amqp:///vhost"])
def test_an_address_that_is_none_is_refused_before_anything_is_contacted(url: str) -> None:
    with pytest.raises(ValueError, match="amqp://"):
        LarkClient(url)
