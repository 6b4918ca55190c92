"""Grants in Postgres: changed by operators, followed by every process, held while it is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from gateway.app_rows import RegistryError
from gateway.database import Database
from gateway.errors import Refused
from gateway.producer_grant_rows import Grant, read_apis
from gateway.producer_grant_store import OpensOrCloses, ProducerGrantStore
from gateway.producer_grant_watch import ProducerGrantWatch
from gateway.producer_grants import ProducerGrants
from gateway.registry_changes import Changes
from schemas.call import Call
from tests.support.builders import dimensions
from tests.support.calls import read, send
from tests.support.proxy import Proxy, proxied, through
from tests.support.waiting import alongside, eventually

ALL, SEND = read_apis("*"), read_apis("POST /open-apis/im/v1/messages")
BILLING = Grant("billing", "default", SEND)


class Watching:
    """What one process knows."""

    def __init__(self, url: str, *, required: bool) -> None:
        self.database = Database(url)
        self.grants = ProducerGrants(dimensions())
        self.watch = ProducerGrantWatch(
            ProducerGrantStore(self.database), self.grants, required=required
        )

    def allows(self, producer: str, call: object = None) -> bool:
        """Whether the producer may send a message, or make another call."""
        try:
            made = Call.model_validate(call or send())
            self.grants.check(producer, "default", made, sent=False)
        except Refused:
            return False
        return True


@asynccontextmanager
async def watching(url: str, *, required: bool = False) -> AsyncIterator[Watching]:
    process = Watching(url, required=required)
    try:
        async with alongside(process.watch.run()):
            yield process
    finally:
        await process.database.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await opened.migrate()
    await opened.execute("DELETE FROM producer_grants")
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> ProducerGrantStore:
    return ProducerGrantStore(database, actor="op@host")


def not_read(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What processes said they do since they could not read the grants."""
    return [entry["effect"] for entry in logs if entry["event"] == "producer grants not read"]


@asynccontextmanager
async def through_proxy(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with proxied(parts.hostname, parts.port) as proxy:
        yield proxy, through(proxy, url)


async def test_every_process_takes_up_what_is_granted_and_revoked(
    database_url: str, store: ProducerGrantStore
) -> None:
    async with watching(database_url) as one, watching(database_url, required=True) as other:
        for process in (one, other):
            await process.watch.settled.wait()
            assert process.allows("billing")
            assert process.allows("crm")
        await store.grant([BILLING], closes=True)
        await eventually(lambda: not one.allows("crm") and not other.allows("crm"), within=1)
        assert one.allows("billing")
        assert not one.allows("billing", read())
        await store.grant([Grant("crm", "default", ALL)], closes=False)
        await eventually(lambda: one.allows("crm") and other.allows("crm"), within=1)
        await store.revoke("billing", "default", opens=False)
        await eventually(lambda: not one.allows("billing"), within=1)


async def test_while_postgres_is_away_the_grants_last_read_hold(
    database_url: str, store: ProducerGrantStore
) -> None:
    await store.grant([BILLING], closes=True)
    async with (
        through_proxy(database_url) as (proxy, url),
        watching(url, required=True) as process,
    ):
        await process.watch.settled.wait()
        with capture_logs() as logs:
            await proxy.close()
            await eventually(lambda: not_read(logs) == ["those last read hold"])
        assert process.allows("billing")
        assert not process.allows("crm")


async def test_a_process_that_cannot_know_takes_calls_only_where_grants_are_not_required(
    database_url: str, store: ProducerGrantStore
) -> None:
    await store.grant([BILLING], closes=True)
    async with through_proxy(database_url) as (proxy, url):
        port = proxy.port
        await proxy.close()
        async with watching(url) as trusting, watching(url, required=True) as careful:
            await trusting.watch.settled.wait()
            assert trusting.allows("crm")
            assert not careful.watch.settled.is_set()
            await proxy.open(port)
            await careful.watch.settled.wait()
            assert not careful.allows("crm")
            await eventually(lambda: not trusting.allows("crm"))


async def test_a_row_that_no_command_writes_opens_nothing(
    database_url: str, database: Database, store: ProducerGrantStore
) -> None:
    await store.grant([BILLING], closes=True)
    async with watching(database_url) as process:
        await process.watch.settled.wait()
        await database.execute("UPDATE producer_grants SET api = 'GET .*'")
        await database.execute("UPDATE registry_revision SET revision = revision + 1")
        with capture_logs() as logs:
            async with watching(database_url) as late:
                await eventually(lambda: len(not_read(logs)) == 2)
                assert not late.watch.settled.is_set()
        assert set(not_read(logs)) == {"those last read hold", "until they are, no call is taken"}
        assert process.allows("billing")
        assert not process.allows("crm")


async def test_the_first_grant_and_the_last_need_a_word_more(store: ProducerGrantStore) -> None:
    with pytest.raises(OpensOrCloses, match="first grant"):
        await store.grant([BILLING], closes=False)
    assert await store.read() == []
    await store.grant([BILLING, Grant("billing", "default", ALL)], closes=True)
    await store.revoke("billing", "default", [ALL], opens=False)
    with pytest.raises(OpensOrCloses, match="last grant"):
        await store.revoke("billing", "default", [SEND], opens=False)
    assert [stored.grant for stored in await store.read()] == [BILLING]
    await store.revoke("billing", "default", opens=True)
    assert await store.read() == []


async def test_a_grant_made_again_is_as_it_was_made_last(store: ProducerGrantStore) -> None:
    for user_tokens in (False, True, False):
        grant = Grant("billing", "default", SEND, user_tokens)
        await store.grant([grant], closes=True)
        assert [stored.grant for stored in await store.read()] == [grant]


async def test_what_is_not_there_is_said(store: ProducerGrantStore) -> None:
    with pytest.raises(RegistryError, match="no app or pool has the alias 'nobody'"):
        await store.grant([Grant("billing", "nobody", ALL)], closes=True)
    with pytest.raises(RegistryError, match="no such grant"):
        await store.revoke("billing", "default", opens=True)
    with pytest.raises(RegistryError, match="RabbitMQ user"):
        await store.grant([Grant("-p", "default", ALL)], closes=True)


async def test_every_change_is_on_record(database: Database, store: ProducerGrantStore) -> None:
    await store.grant([Grant("auditor", "default", SEND, user_tokens=True)], closes=True)
    await store.revoke("auditor", "default", opens=True)
    changes = await Changes(database, "reader").of("default", 2)
    api = str(SEND)
    assert [(change.actor, change.action, change.details) for change in changes] == [
        ("op@host", "producer-revoke", {"producer": "auditor", "apis": []}),
        (
            "op@host",
            "producer-grant",
            {"producer": "auditor", "apis": [api], "user_tokens": True},
        ),
    ]
