"""Private servers: their data over crashes, and that nothing of them is left behind."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import asyncpg
import pytest
import redis.asyncio as aioredis

from sandbox.stack import NotOursError, ServerMissingError, Stack, StackError
from sandbox.stack.processes import ProcessId

_HOLD = """
import sys, time
from pathlib import Path
from sandbox.stack import Stack
stack = Stack(Path(sys.argv[1]), given={})
stack.start("redis", "postgres")
print("started", flush=True)
time.sleep(60)
"""


@pytest.fixture
def directory(idle_stack: Stack) -> Iterator[Path]:
    """An empty directory whose parents the account of PostgreSQL may pass."""
    with tempfile.TemporaryDirectory(dir=idle_stack.directory.parent) as path:
        Path(path).chmod(0o711)
        yield Path(path) / "stack"


def _processes(directory: Path) -> list[ProcessId]:
    state = json.loads((directory / "state.json").read_text())
    return [
        ProcessId(entry["pid"], entry["started"])
        for server in state["servers"].values()
        for entry in server["processes"].values()
    ]


async def test_a_killed_broker_keeps_its_port_and_its_durable_messages(stack: Stack) -> None:
    url = stack.rabbitmq_url
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        await channel.declare_queue("survivor", durable=True)
        message = aio_pika.Message(b"still here", delivery_mode=2)
        await channel.default_exchange.publish(message, "survivor")

        stack.rabbitmq.kill()
        stack.rabbitmq.start()

    assert stack.rabbitmq_url == url
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        queue = await channel.get_queue("survivor")
        assert (await queue.get()).body == b"still here"
        await queue.delete(if_empty=False)


async def test_a_killed_redis_keeps_its_keys_until_they_are_thrown_away(stack: Stack) -> None:
    async with aioredis.Redis.from_url(stack.redis_url) as client:
        await client.set("key", "value")

    stack.redis.kill()
    stack.redis.start()
    async with aioredis.Redis.from_url(stack.redis_url) as client:
        assert await client.get("key") == b"value"

    stack.redis.restart(keep=False)
    async with aioredis.Redis.from_url(stack.redis_url) as client:
        assert await client.get("key") is None


async def test_a_killed_postgres_keeps_what_was_committed(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.database_url)
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")

    stack.postgres.kill()
    stack.postgres.start()

    connection = await asyncpg.connect(stack.database_url)
    assert await connection.fetchval("SELECT number FROM kept") == 7
    await connection.execute("DROP TABLE kept")
    await connection.close()


@pytest.mark.parametrize("name", ["rabbitmq", "redis", "postgres"])
def test_a_paused_server_holds_its_clients_and_goes_on(stack: Stack, name: str) -> None:
    server = getattr(stack, name)

    server.pause()
    paused = next(status for status in stack.status() if status.name == name)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.settimeout(0.2)
        client.sendall(b"AMQP\x00\x00\x09\x01\r\n")
        with pytest.raises(TimeoutError):
            client.recv(1)
        stack.start(name)

    assert paused.state == "paused"
    assert {status.state for status in stack.status()} == {"running"}


def test_every_server_listens_on_loopback_only(stack: Stack) -> None:
    ports = {
        port
        for server in (stack.rabbitmq, stack.redis, stack.postgres)
        for port in server.ports.values()
    }
    listening = [
        line.split()[1].split(":")
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]

    ours = [address for address, port in listening if int(port, 16) in ports]
    assert len(ours) == len(ports) == 5
    assert set(ours) == {"0100007F"}


def test_nothing_is_left_after_a_stop(directory: Path) -> None:
    with Stack(directory, given={}) as stack:
        processes = _processes(directory)
        assert len(processes) == 4
        assert [status.state for status in stack.status()] == ["running"] * 3

    assert not any(process.alive for process in processes)
    assert not directory.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_servers_end_with_the_process_that_started_them(
    directory: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", _HOLD, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"started\n"
        processes = _processes(directory)

        holder.send_signal(number)
        holder.wait(10)

    assert len(processes) == 2
    assert all(process.wait_gone(10) for process in processes)
    deadline = time.monotonic() + 10
    while directory.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not directory.exists()


def test_a_stack_that_outlives_its_process_is_ended_by_another(directory: Path) -> None:
    started = Stack(directory, outlive=True, given={})
    started.start("redis")
    processes = _processes(directory)

    attached = Stack.attach(directory)
    assert attached.redis_url == started.redis_url
    attached.stop(purge=False)

    assert not any(process.alive for process in processes)
    assert directory.exists()


async def test_kept_data_and_secrets_are_there_the_next_time(directory: Path) -> None:
    first = Stack(directory, keep=True, given={})
    first.start("redis", "postgres")
    try:
        before = first.redis_url, first.database_url
        async with aioredis.Redis.from_url(first.redis_url) as client:
            await client.set("key", "value")
    finally:
        first.stop()

    second = Stack(directory, keep=True, given={})
    second.start("redis", "postgres")
    try:
        async with aioredis.Redis.from_url(second.redis_url) as client:
            assert await client.get("key") == b"value"
        await (await asyncpg.connect(second.database_url)).close()
        assert (second.redis_url, second.database_url) == before
    finally:
        second.stop(purge=True)


def test_a_directory_in_use_is_refused(directory: Path) -> None:
    first = Stack(directory, given={})
    first.start("redis")
    try:
        with pytest.raises(StackError, match="already runs"), Stack(directory, given={}):
            pass
        assert first.redis.running
        assert Stack.attach(directory).redis_url == first.redis_url
    finally:
        first.stop()


def test_files_of_others_in_the_run_directory_are_left(directory: Path) -> None:
    directory.mkdir()
    (directory / "notes.txt").write_text("mine")
    with_redis = Stack(directory, given={})
    with_redis.start("redis")

    with_redis.stop()

    assert [path.name for path in directory.iterdir()] == ["notes.txt"]


def test_a_server_given_by_url_is_neither_started_nor_stopped(directory: Path) -> None:
    given = {"RABBITMQ_URL": "amqp://elsewhere/", "DATABASE_URL": "postgresql://elsewhere/db"}
    with Stack(directory, given=given) as stack:
        assert stack.environment()["RABBITMQ_URL"] == "amqp://elsewhere/"
        assert [status.state for status in stack.status()] == ["given", "running", "given"]
        with pytest.raises(NotOursError, match="RABBITMQ_URL is set"):
            stack.rabbitmq.kill()


def test_a_server_that_is_not_here_is_told_with_what_to_install(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without it no Erlang is found, which RabbitMQ needs.
    monkeypatch.setenv("PATH", "")

    advice = r"apt-get install rabbitmq-server.*RABBITMQ_URL"
    with pytest.raises(ServerMissingError, match=advice), Stack(directory, given={}):
        pass


def test_postgres_runs_where_its_account_cannot_reach(directory: Path) -> None:
    directory.parent.chmod(0o700)
    stack = Stack(directory, given={})
    stack.start("postgres")
    data = asyncio.run(_data_directory(stack.database_url))
    assert data.is_dir()

    stack.stop()

    assert not data.exists()


async def _data_directory(url: str) -> Path:
    connection = await asyncpg.connect(url)
    path: str = await connection.fetchval("SHOW data_directory")
    await connection.close()
    return Path(path)


def test_secrets_are_readable_by_their_owner_only(stack: Stack) -> None:
    password = stack.redis.password
    open_files = [
        path
        for path in stack.directory.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and password.encode() in path.read_bytes()
    ]
    assert open_files == []
