"""`lark-service health`, also as the script that the recovery guide names, and `preflight`."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiormq
import asyncpg
import pytest

from cli.health import stores
from cli.health.check import Status
from gateway.database import Database
from sandbox.stack.ports import free_ports
from schemas import names
from tests.support.command import Ran, run, run_script
from tests.support.gateway import Gateway
from tests.support.proxy import proxied

APP_SECRET = "q8N3vK1zR7tY5wB2mC9xL4pD6sF0gH7j"
PATIENT = ("--timeout", "20")
"""A busy machine must not pass for a server that is away."""
AWAY = {
    "RABBITMQ_URL": "amqp://lark:pass-word@127.0.0.1:1/",
    "REDIS_URL": "redis://:pass-word@127.0.0.1:1/0",
    "DATABASE_URL": "postgresql://lark:pass-word@127.0.0.1:1/lark_service",
}


@pytest.fixture(scope="module")
async def settings(gateway_environment: dict[str, str]) -> dict[str, str]:
    names_ = ("LARK_", "RABBITMQ_", "REDIS_", "DATABASE_")
    found = {n: v for n, v in gateway_environment.items() if n.startswith(names_)}
    database = Database(found["DATABASE_URL"])
    await database.migrate()
    await database.close()
    return found


@pytest.fixture
async def raw(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def found(ran: Ran) -> dict[str, Any]:
    return {check["name"]: check for check in ran.json["checks"]}


def statuses(ran: Ran) -> dict[str, str]:
    return {name: check["status"] for name, check in found(ran).items()}


async def test_all_is_healthy_while_a_gateway_serves(
    gateway: Gateway, settings: dict[str, str], tmp_path: Path
) -> None:
    words = ("--database", "--redis", "--rabbitmq", "--api", "--tokens", "--memory", "--json")

    ran = await run_script("health_check.py", *words, *PATIENT, folder=tmp_path, **settings)

    assert ran.code == 0, ran.out
    assert ran.json["ok"]
    assert set(statuses(ran)) == {
        *("rabbitmq", "queues", "dead-letter-queue", "redis", "memory"),
        *("database", "migrations", "transactions", "dead-letters", "tokens", "api"),
    }
    queue = found(ran)["queues"]["facts"]["queues"][names.calls_queue("default", "bulk")]
    assert queue["consumers"] >= 1
    assert "HTTP" in found(ran)["api"]["message"]


async def test_all_includes_the_settings_and_the_machine(
    gateway: Gateway, settings: dict[str, str], tmp_path: Path
) -> None:
    strong = {"LARK_APP_SECRET": APP_SECRET}

    all_ = await run("health", "--all", "--json", *PATIENT, folder=tmp_path, **(settings | strong))
    default = await run("health", "--json", *PATIENT, folder=tmp_path, **(settings | strong))

    assert {"config", "disk", "memory", "api", "tokens"} <= statuses(all_).keys()
    assert statuses(default).keys() == statuses(all_).keys()


async def test_the_sandbox_secret_is_weak_and_a_missing_app_is_unhealthy(tmp_path: Path) -> None:
    given = {"LARK_APP_ID": "cli_a1b2c3d4e5f60718", "LARK_APP_SECRET": "short"}

    weak = await run("health", "--config", "--json", *PATIENT, folder=tmp_path, **given)
    none = await run("health", "--config", "--json", *PATIENT, folder=tmp_path)

    assert (weak.code, none.code) == (1, 2)
    assert found(weak)["config"]["hint"] == "lark-service config validate"
    assert "LARK_APP_ID is not set" in found(none)["config"]["message"]


@pytest.mark.parametrize(
    ("flag", "variable", "code", "name"),
    [
        ("--redis", "REDIS_URL", 1, "redis"),
        ("--database", "DATABASE_URL", 1, "database"),
        ("--rabbitmq", "RABBITMQ_URL", 2, "rabbitmq"),
    ],
)
async def test_a_server_that_is_away_is_named_by_host_and_port(
    settings: dict[str, str], tmp_path: Path, flag: str, variable: str, code: int, name: str
) -> None:
    away = settings | {variable: AWAY[variable]}

    ran = await run("health", flag, "--json", *PATIENT, folder=tmp_path, **away)
    told = await run("health", flag, *PATIENT, folder=tmp_path, **away)

    assert ran.code == told.code == code
    assert set(statuses(ran)) == {name}
    assert "127.0.0.1:1" in found(ran)[name]["message"]
    assert "127.0.0.1:1" in told.out
    assert "pass-word" not in ran.out + told.out + ran.err + told.err


async def test_quick_asks_only_whether_the_servers_answer(
    settings: dict[str, str], tmp_path: Path
) -> None:
    well = await run("health", "--quick", "--json", *PATIENT, folder=tmp_path, **settings)
    away = await run("health", "--quick", "--json", *PATIENT, folder=tmp_path, **(settings | AWAY))

    assert (well.code, away.code) == (0, 2)
    assert statuses(well) == dict.fromkeys(("rabbitmq", "redis", "database"), "healthy")


async def test_servers_that_swallow_packets_cost_two_seconds_and_not_each(
    settings: dict[str, str], tmp_path: Path
) -> None:
    parts = urlsplit(settings["DATABASE_URL"])
    async with proxied(parts.hostname or "", parts.port or 0) as proxy:
        proxy.hold()
        place = f"127.0.0.1:{proxy.port}"
        swallowed = {
            "RABBITMQ_URL": f"amqp://guest:guest@{place}/",
            "REDIS_URL": f"redis://{place}/0",
            "DATABASE_URL": f"postgresql://lark@{place}/lark",
        }
        words = ("health", "--quick", "--json", "--exit-on-error")
        began = time.monotonic()
        ran = await run(*words, folder=tmp_path, **(settings | swallowed))
        took = time.monotonic() - began
        proxy.release()

    assert ran.code == 2
    assert {check["message"] for check in ran.json["checks"]} == {"no answer within 2 s"}
    # One after the other they would take six seconds.
    assert took < 30


async def test_a_long_transaction_of_our_user_is_named(
    settings: dict[str, str], raw: asyncpg.Connection
) -> None:
    database = Database(settings["DATABASE_URL"])
    pid = await raw.fetchval("SELECT pg_backend_pid()")
    async with raw.transaction():
        await raw.execute("SELECT 1")
        open_ = {check.name: check for check in await stores.postgres(database, long=0)}
    closed = {check.name: check for check in await stores.postgres(database, long=0)}
    await database.close()

    assert open_["transactions"].status is Status.DEGRADED
    assert f"pid {pid} " in open_["transactions"].message
    assert "idle in transaction" in open_["transactions"].message
    assert f"pid {pid} " not in closed["transactions"].message


async def test_a_schema_that_is_behind_or_ahead_is_told(
    settings: dict[str, str], raw: asyncpg.Connection, tmp_path: Path
) -> None:
    await raw.execute("INSERT INTO schema_migrations VALUES (9000, '9000_later', '', now())")
    ahead = await run("health", "--database", "--json", *PATIENT, folder=tmp_path, **settings)
    await raw.execute("DELETE FROM schema_migrations WHERE version = 9000")
    await raw.execute("ALTER TABLE schema_migrations RENAME TO hidden")
    behind = await run("health", "--database", "--json", *PATIENT, folder=tmp_path, **settings)
    await raw.execute("ALTER TABLE hidden RENAME TO schema_migrations")

    assert (ahead.code, behind.code) == (2, 1)
    assert "9000_later, which is newer" in found(ahead)["migrations"]["message"]
    assert found(behind)["migrations"]["hint"] == "lark-service db migrate"


async def test_the_way_to_feishu_is_told_step_by_step(
    settings: dict[str, str], tmp_path: Path
) -> None:
    port = free_ports(1)[0]
    unresolved = {"LARK_DOMAIN": "https://no-such-host.invalid"}
    refused = {"LARK_DOMAIN": f"http://127.0.0.1:{port}"}
    no_tls = {"LARK_DOMAIN": settings["LARK_DOMAIN"].replace("http:", "https:")}

    ran = [
        await run("health", "--api", "--json", *PATIENT, folder=tmp_path, **(settings | domain))
        for domain in (unresolved, refused, no_tls)
    ]

    assert [one.code for one in ran] == [2, 2, 2]
    messages = [found(one)["api"]["message"].partition(": ")[2] for one in ran]
    assert [message.partition(":")[0] for message in messages] == ["DNS", "TCP", "TLS"]


async def test_preflight_tells_what_a_start_would_meet(
    settings: dict[str, str], rabbitmq_url: str, tmp_path: Path
) -> None:
    given = settings | {"LARK_APP_SECRET": APP_SECRET, "LARK_APP_ID": "cli_a1b2c3d4e5f60718"}
    first = await run("preflight", "--json", *PATIENT, folder=tmp_path, **given)
    connection = await aiormq.connect(rabbitmq_url)
    channel = await connection.channel()
    queue = names.retry_queue("default")
    await channel.queue_delete(queue)
    await channel.queue_declare(queue, durable=True)
    different = await run("preflight", "--json", *PATIENT, folder=tmp_path, **given)
    await channel.queue_delete(queue)
    await connection.close()

    assert first.code == 0, json.dumps(first.json, indent=1)
    assert statuses(first).keys() >= {"config", "topology", "migrations", "redis", "api"}
    assert different.code == 2
    assert queue in found(different)["topology"]["message"]


async def test_an_unknown_flag_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    ran = await run_script("health_check.py", "--everything", folder=tmp_path)

    assert ran.code == 2
    assert "No such option" in ran.err
