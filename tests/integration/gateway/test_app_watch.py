"""Every process follows the apps in Postgres: at once, and without harm by a bad row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from gateway.app_rows import StoredApp
from gateway.app_store import AppStore
from gateway.app_watch import AppWatch
from gateway.apps import App, Apps, AppStatus
from gateway.catalogue import Catalogue
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.dimensions import Dimensions
from gateway.errors import NotNow, Refused
from gateway.metrics import Metrics
from gateway.pool_store import PoolStore
from gateway.site_limits import AppLimits, SiteLimits
from schemas.apis import ApiTable, Window
from tests.support.proxy import proxied
from tests.support.waiting import alongside, eventually

KEYS = KeyRing([bytes(range(32))])
OTHER_KEYS = KeyRing([bytes(reversed(range(32)))])
OWN = App("default", "cli_own", SecretStr("own-secret"), "https://open.feishu.cn")
SHOP = replace(OWN, alias="shop", app_id="cli_shop", secret=SecretStr("shop-secret"))
SALES = replace(OWN, alias="sales", app_id="cli_sales", secret=SecretStr("sales-secret"))
CHATS = "/open-apis/im/v1/chats"
FILE = SiteLimits(apps={"shop": AppLimits((Window(9, 1),)), "nobody": AppLimits((Window(1, 1),))})
CATALOGUE = Catalogue(ApiTable.load(), FILE)


class Watching:
    """What one process knows, and how often it was told."""

    def __init__(self, url: str, keys: KeyRing) -> None:
        self.apps, self.dimensions = Apps([OWN]), Dimensions(CATALOGUE)
        self.metrics, self.database, self.told = Metrics(), Database(url), 0
        self.watch = AppWatch(
            AppStore(self.database, keys), self.apps, self.dimensions, self.metrics
        )
        self.apps.on_change(self._note)

    def status(self, alias: str) -> AppStatus | None:
        """That of the app, where the process knows it."""
        return next((app.status for app in self.apps if app.alias == alias), None)

    def windows(self, alias: str) -> list[str]:
        """The windows of each bucket of a call of the app."""
        route = self.dimensions.catalogue.route("GET", CHATS)
        app = replace(OWN, alias=alias)
        found = self.dimensions.buckets(app, None, route, CHATS, {}, None)
        return [";".join(map(str, bucket.windows)) for bucket in found]

    def _note(self) -> None:
        self.told += 1


@dataclass
class Operator:
    """Changes apps as commands do: by what is there now."""

    store: AppStore
    pools: PoolStore
    database: Database

    async def seen(self, alias: str) -> StoredApp:
        return (await self.store.read()).apps[alias]


Start = Callable[..., Awaitable[Watching]]


@pytest.fixture
async def operator(database_url: str) -> AsyncIterator[Operator]:
    database = Database(database_url)
    await database.migrate()
    await database.execute("DELETE FROM apps")
    await database.execute("DELETE FROM pools")
    yield Operator(AppStore(database, KEYS, own=OWN), PoolStore(database, actor="t"), database)
    await database.close()


@asynccontextmanager
async def _watching(url: str, keys: KeyRing) -> AsyncIterator[Watching]:
    process = Watching(url, keys)
    try:
        async with alongside(process.watch.run()):
            yield process
    finally:
        await process.database.close()


@pytest.fixture
async def start(operator: Operator, database_url: str) -> AsyncIterator[Start]:
    """Starts processes that have read everything."""
    async with AsyncExitStack() as stack:

        async def started(keys: KeyRing = KEYS) -> Watching:
            process = await stack.enter_async_context(_watching(database_url, keys))
            await eventually(lambda: process.told > 0)
            return process

        yield started


async def test_a_new_app_is_known_to_every_process(operator: Operator, start: Start) -> None:
    processes = [await start(), await start()]

    await operator.store.add(SHOP)

    for process in processes:
        await eventually(lambda process=process: "shop" in process.apps.aliases)
        assert process.apps.get("shop") == SHOP
        assert process.apps.get("default") == OWN


async def test_a_disabled_app_is_refused_and_an_enabled_one_served_again(
    operator: Operator, start: Start
) -> None:
    await operator.store.add(SHOP)
    process = await start()

    await operator.store.disable(await operator.seen("shop"))
    await eventually(lambda: process.status("shop") is AppStatus.DISABLED)
    with pytest.raises(Refused, match="disabled in the gateway"):
        process.apps.get("shop")
    await operator.store.enable(await operator.seen("shop"))
    await eventually(lambda: process.status("shop") is AppStatus.ENABLED)

    assert process.apps.get("shop") == SHOP


async def test_another_secret_is_taken_up(operator: Operator, start: Start) -> None:
    await operator.store.add(SHOP)
    process = await start()
    other = replace(SHOP, secret=SecretStr("another-secret"))

    await operator.store.set_secret(await operator.seen("shop"), other)

    await eventually(lambda: process.apps.get("shop") == other)


async def test_a_removed_app_has_queues_to_empty_until_it_is_purged(
    operator: Operator, start: Start
) -> None:
    await operator.store.add(SHOP)
    await operator.pools.add("both", ["default"])
    process = await start()
    assert process.apps.aliases == {"default", "shop", "both"}

    await operator.store.remove(await operator.seen("shop"))
    await operator.pools.remove((await operator.store.read()).pools["both"])
    await eventually(lambda: process.apps.removed == {"shop", "both"})
    assert process.apps.aliases == {"default"}
    assert process.apps.pool("both") is None
    for alias in ("shop", "both"):
        with pytest.raises(Refused, match="no app has the alias"):
            process.apps.get(alias)
        assert await operator.store.purge(alias)

    await eventually(lambda: not process.apps.removed)


async def test_a_secret_that_no_key_opens_harms_its_app_alone(
    operator: Operator, start: Start
) -> None:
    await operator.store.add(SHOP)
    await AppStore(operator.database, OTHER_KEYS).add(SALES)
    with capture_logs() as logs:
        process = await start()

    assert process.apps.get("shop") == SHOP
    with pytest.raises(NotNow, match=r"the secret of the app 'sales' cannot be read: .*key ring"):
        process.apps.get("sales")
    (warning,) = [entry for entry in logs if entry["event"] == "secret of an app unreadable"]
    assert warning["app"] == "sales"


async def test_another_key_ring_opens_what_was_unreadable(operator: Operator, start: Start) -> None:
    await operator.store.add(SHOP)
    keys = KeyRing([bytes(32)])
    process = await start(keys)
    with pytest.raises(NotNow):
        process.apps.get("shop")

    keys.renew(KEYS)
    await process.watch.reread()

    assert process.apps.get("shop") == SHOP


async def test_the_app_of_the_environment_stays_as_it_was_last_put(
    operator: Operator, start: Start
) -> None:
    process = await start()
    renewed = replace(OWN, secret=SecretStr("renewed"))
    process.apps.replace([renewed])

    await operator.store.add(SHOP)

    await eventually(lambda: "shop" in process.apps.aliases)
    assert process.apps.get("default") == renewed


async def test_limits_of_an_app_hold_while_it_calls_and_before_those_of_the_file(
    operator: Operator, start: Start
) -> None:
    await operator.store.add(SHOP)
    process = await start()
    documented = process.windows("default")
    assert process.windows("shop") == [*documented, "9/1"]

    limits = {"total": "7/1", "limits": {f"GET {CHATS}": "2/1"}}
    await operator.store.set_limits(await operator.seen("shop"), limits)
    await eventually(lambda: process.windows("shop") == ["2/1", "7/1"])
    assert process.windows("default") == documented
    await operator.store.set_limits(await operator.seen("shop"), {})

    await eventually(lambda: process.windows("shop") == [*documented, "9/1"])


async def test_a_change_of_no_limits_leaves_the_plans_of_calls(
    operator: Operator, start: Start
) -> None:
    await operator.store.add(SHOP)
    await operator.store.set_limits(await operator.seen("shop"), {"total": "7/1"})
    process = await start()
    catalogue = process.dimensions.catalogue

    await operator.store.disable(await operator.seen("shop"))
    await eventually(lambda: process.status("shop") is AppStatus.DISABLED)

    assert process.dimensions.catalogue is catalogue


@pytest.mark.parametrize("written", ['{"total": "much"}', '{"limits": {"HEAD /x": "1/1"}}'])
async def test_limits_that_somebody_wrote_past_the_commands_are_left_out_and_named(
    operator: Operator, start: Start, written: str
) -> None:
    await operator.store.add(SHOP)
    await operator.store.add(SALES)
    await operator.store.set_limits(await operator.seen("sales"), {"total": "3/1"})
    await operator.database.execute(
        "UPDATE apps SET limits = $1::jsonb WHERE alias = 'shop'", written
    )
    with capture_logs() as logs:
        process = await start()

    assert process.windows("sales")[-1] == "3/1"
    assert process.apps.get("shop") == SHOP
    (warning,) = [entry for entry in logs if entry["event"] == "limits of an app left out"]
    assert warning["app"] == "shop"
    assert "lark-service app set-limits shop: [apps.shop" in warning["reason"]


async def test_limits_in_the_file_for_no_app_are_said_once(
    operator: Operator, start: Start
) -> None:
    with capture_logs() as logs:
        process = await start()
        told = process.told
        await operator.store.add(SHOP)
        await eventually(lambda: process.told > told)

    named = [
        entry["app"] for entry in logs if entry["event"] == "limits for an app that is not there"
    ]
    assert sorted(named) == ["nobody", "shop"]


async def test_while_postgres_is_away_everything_stays_and_is_followed_again_afterwards(
    operator: Operator, database_url: str
) -> None:
    await operator.store.add(SHOP)
    parts = urlsplit(database_url)
    assert parts.hostname
    assert parts.port
    async with proxied(parts.hostname, parts.port) as proxy:
        url = database_url.replace(f":{parts.port}/", f":{proxy.port}/")
        async with _watching(url, KEYS) as process:
            await eventually(lambda: "shop" in process.apps.aliases)
            port = proxy.port
            with capture_logs() as logs:
                await proxy.close()
                await operator.store.disable(await operator.seen("shop"))
                await eventually(
                    lambda: any(entry["event"] == "apps stay as last read" for entry in logs)
                )
            assert process.apps.get("shop") == SHOP

            await proxy.open(port)

            await eventually(lambda: process.status("shop") is AppStatus.DISABLED)


async def test_without_postgres_at_the_start_there_is_the_app_of_the_environment() -> None:
    with capture_logs() as logs:
        async with _watching("postgresql://nobody@127.0.0.1:1/none", KEYS) as process:
            await eventually(lambda: bool(logs))
            assert process.apps.get("default") == OWN
            assert process.apps.aliases == {"default"}


async def test_what_is_stored_is_counted_by_state_and_secrets_have_their_age(
    operator: Operator, start: Start
) -> None:
    await operator.store.add(SHOP)
    await AppStore(operator.database, OTHER_KEYS).add(SALES)
    process = await start()
    value = process.metrics.registry.get_sample_value

    stored = await operator.seen("shop")
    name = "lark_service_app_secret_changed_timestamp_seconds"
    assert value(name, {"app": "shop"}) == stored.secret_changed_at.timestamp()
    assert value("lark_service_apps", {"status": "enabled"}) == 1
    assert value("lark_service_apps", {"status": "unreadable"}) == 1
    assert value("lark_service_registry_revision") == await operator.store.revision()
