"""The gateway's objects for one test module, and clients in front of a network that can fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from lark_service_client import LarkClient

from tests.support.proxy import Proxy, proxied, through
from tests.support.standin import declare


@pytest.fixture(scope="module")
async def broker(rabbitmq_url: str) -> str:
    """A vhost that holds what a gateway with the apps `default` and `crm` declares."""
    await declare(rabbitmq_url, "default", "crm")
    return rabbitmq_url


@pytest.fixture
async def lark(broker: str) -> AsyncIterator[LarkClient]:
    """A connected client."""
    async with LarkClient(broker) as client:
        yield client


@pytest.fixture
async def network(broker: str) -> AsyncIterator[Proxy]:
    """What lies between a client at `network_url` and the broker."""
    address = urlsplit(broker)
    async with proxied(str(address.hostname), address.port or 5672) as proxy:
        yield proxy


@pytest.fixture
def network_url(broker: str, network: Proxy) -> str:
    """The broker's address, by way of the network that can fail."""
    return through(network, broker)
