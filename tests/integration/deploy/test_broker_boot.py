"""The broker's configuration, definitions and users as docker-compose.yml mounts them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest

from sandbox.stack import Stack
from sandbox.stack.rabbitmq import RabbitMQ
from tests.support.compose import ROOT, compose

_MOUNTED_AT = "/etc/rabbitmq/definitions.d"
_PASSWORD = "local-only"


def _settings(definitions: Path) -> dict[str, str]:
    lines = (ROOT / "rabbitmq/rabbitmq.conf").read_text().splitlines()
    pairs = [line.partition(" = ") for line in lines if line and not line.startswith("#")]
    settings = {key: value.replace(_MOUNTED_AT, str(definitions)) for key, _, value in pairs}
    del settings["listeners.tcp.default"]
    return settings


@pytest.fixture
def broker(tmp_path: Path, idle_stack: Stack) -> Iterator[RabbitMQ]:
    users = compose()["configs"]["rabbitmq-users"]["content"]
    (tmp_path / "10-users.json").write_text(users)
    shutil.copy(ROOT / "rabbitmq/definitions.json", tmp_path / "20-topology.json")
    directory = idle_stack.directory.with_name(f"{idle_stack.directory.name}-broker")
    server = RabbitMQ(directory, _PASSWORD, lambda: None, settings=_settings(tmp_path))
    yield server
    server.stop()
    server.erase()


async def test_a_new_broker_lets_the_gateway_in_and_has_its_queues(broker: RabbitMQ) -> None:
    broker.start()

    for vhost in ("/", "demo"):
        async with await aio_pika.connect(broker.vhost_url(vhost)):
            pass
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("lark.dead", passive=True)
