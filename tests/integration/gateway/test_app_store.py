"""Apps in Postgres: what may become one, who may change it, and that its secret stays one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import orjson
import pytest
from pydantic import SecretStr

from gateway.app_rows import ChangedMeanwhile, RegistryError, StoredApp
from gateway.app_store import AppStore
from gateway.apps import App, AppKind, AppStatus
from gateway.crypto import KeyRing
from gateway.database import Connection, Database
from gateway.pool_store import PoolStore
from gateway.site_limits import LimitsError
from gateway.tokens.tickets import AppTickets

KEYS = KeyRing([bytes(range(32))])
DOMAIN = "https://open.feishu.cn"
OWN = App("default", "cli_own", SecretStr("own-secret"), DOMAIN)
SECRET = "a-secret-that-nobody-may-see"

T = TypeVar("T")


def new_app(alias: str = "", **changes: object) -> App:
    """An app that nobody else has."""
    alias = alias or f"app-{secrets.token_hex(4)}"
    return replace(App(alias, f"cli_{alias}", SecretStr(SECRET), DOMAIN), **changes)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.migrate()
    yield database
    await database.execute("DELETE FROM apps")
    await database.execute("DELETE FROM pools")
    await database.close()


@pytest.fixture
def store(database: Database) -> AppStore:
    return AppStore(database, KEYS, actor="tests", own=OWN)


@pytest.fixture
def pools(database: Database) -> PoolStore:
    return PoolStore(database, actor="tests")


class Repeating(Database):
    """Loses the connection once each transaction is committed, and so makes it again."""

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        await super().transaction(work)
        return await super().transaction(work)


async def added(store: AppStore, app: App) -> StoredApp:
    await store.add(app)
    return (await store.read()).apps[app.alias]


async def test_an_app_is_read_as_it_was_added(store: AppStore) -> None:
    app = new_app(kind=AppKind.STORE, status=AppStatus.DISABLED, domain=f"{DOMAIN}/")

    stored = await added(store, app)

    assert stored.app == replace(app, domain=DOMAIN)
    assert stored.limits == {}
    assert stored.revision == await store.revision()
    assert stored.created_at == stored.updated_at == stored.secret_changed_at


async def test_a_secret_is_nowhere_in_postgres_to_be_read(
    store: AppStore, database: Database
) -> None:
    stored = await added(store, new_app())
    await store.set_secret(stored, replace(stored.app, secret=SecretStr(f"{SECRET}-2")))

    apps = await database.fetch("SELECT apps::text AS whole FROM apps")
    audit = await database.fetch("SELECT app_audit::text AS whole FROM app_audit")
    assert apps
    assert audit
    for row in (*apps, *audit):
        assert SECRET not in row["whole"]
        assert SECRET.encode().hex() not in row["whole"]


async def test_a_sealed_secret_opens_under_no_other_alias(
    store: AppStore, database: Database
) -> None:
    first, second = await added(store, new_app()), await added(store, new_app())
    await database.execute(
        "UPDATE apps SET secret = (SELECT secret FROM apps WHERE alias = $1) WHERE alias = $2",
        first.app.alias,
        second.app.alias,
    )

    apps = (await store.read()).apps

    assert apps[first.app.alias].app.unreadable is None
    moved = apps[second.app.alias].app
    assert moved.unreadable == "a sealed value was changed or belongs to another place"
    assert moved.secret.get_secret_value() == ""


async def test_an_app_under_a_lost_key_harms_no_other(database: Database, store: AppStore) -> None:
    lost = AppStore(database, KeyRing([bytes(reversed(range(32)))]))
    good, bad = new_app(), new_app()
    await store.add(good)
    await lost.add(bad)

    apps = (await store.read()).apps

    assert apps[good.alias].app == good
    assert "not in the key ring" in (apps[bad.alias].app.unreadable or "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alias": "default"}, "LARK_APP_ID and LARK_APP_SECRET configure"),
        ({"alias": "With.Dots"}, "is no alias"),
        ({"alias": "a" * 65}, "is no alias"),
        ({"app_id": ""}, "an app id is"),
        ({"app_id": "cli 1"}, "an app id is"),
        ({"app_id": "cli_own"}, "cli_own is the app 'default' already"),
        ({"domain": "http://open.feishu.cn"}, "must be https"),
        ({"domain": "https://open.feishu.cn/path"}, "without path"),
        ({"secret": SecretStr("")}, "not empty"),
        ({"secret": SecretStr("secret\n")}, "no spaces around it"),
    ],
)
async def test_what_cannot_be_an_app_is_refused_with_the_reason(
    store: AppStore, changes: dict[str, object], reason: str
) -> None:
    before = await store.read()
    with pytest.raises(RegistryError, match=reason):
        await store.add(new_app(**changes))
    assert await store.read() == before


async def test_nothing_is_stored_under_a_key_that_comes_from_the_app_secret(
    database: Database,
) -> None:
    store = AppStore(database, KeyRing.derived_from("app-secret"))
    with pytest.raises(RegistryError, match=r"set LARK_SERVICE_SECRET_KEY.*openssl rand -hex 32"):
        await store.add(new_app())


async def test_who_has_no_key_of_its_own_is_told_that_by_every_app(
    database: Database, store: AppStore
) -> None:
    await store.add(app := new_app())
    without = AppStore(database, KeyRing.derived_from("app-secret"))
    found = (await without.read()).apps[app.alias].app
    assert found.unreadable == "LARK_SERVICE_SECRET_KEY is not set in this process"


async def test_an_alias_is_of_one_app_or_one_pool(store: AppStore, pools: PoolStore) -> None:
    app = new_app()
    await store.add(app)
    with pytest.raises(RegistryError, match=f"there is an app '{app.alias}' already"):
        await store.add(replace(app, app_id="cli_other"))
    with pytest.raises(RegistryError, match=f"there is an app '{app.alias}' already"):
        await pools.add(app.alias, ["default"])
    await pools.add("contacts", ["default"])
    with pytest.raises(RegistryError, match="there is a pool 'contacts' already"):
        await store.add(new_app("contacts"))


async def test_one_app_has_one_alias_until_it_is_removed(store: AppStore) -> None:
    app = new_app()
    stored = await added(store, app)
    again = replace(app, alias=f"{app.alias}-2")
    with pytest.raises(RegistryError, match=f"is the app '{app.alias}' already"):
        await store.add(again)
    await store.add(replace(again, domain="https://open.larksuite.com"))
    await store.remove(stored)
    await store.add(replace(again, alias=f"{app.alias}-3"))


async def test_of_two_operators_who_saw_the_same_one_is_told(store: AppStore) -> None:
    seen = await added(store, new_app())

    both = await asyncio.gather(
        store.set_limits(seen, {"total": "100/60"}),
        store.set_limits(seen, {"total": "200/60"}),
        return_exceptions=True,
    )

    won = [place for place, outcome in enumerate(both) if outcome is None]
    (lost,) = [outcome for outcome in both if outcome is not None]
    assert isinstance(lost, ChangedMeanwhile)
    stored = (await store.read()).apps[seen.app.alias]
    assert stored.limits == {"total": ("100/60", "200/60")[won[0]]}


async def test_a_change_whose_end_was_not_heard_is_not_made_twice(
    database: Database, database_url: str
) -> None:
    repeating = Repeating(database_url)
    store, app = AppStore(repeating, KEYS), new_app()

    seen = await added(store, app)
    await store.disable(seen)

    rows = await database.fetch("SELECT 1 FROM app_audit WHERE alias = $1", app.alias)
    assert len(rows) == 2
    await repeating.close()


async def test_changes_that_come_together_are_all_made(store: AppStore) -> None:
    before = await store.revision()
    apps = [new_app() for _ in range(8)]

    await asyncio.gather(*(store.add(app) for app in apps))

    registry = await store.read()
    assert {app.alias for app in apps} <= set(registry.apps)
    assert registry.revision == before + len(apps)
    assert len({stored.revision for stored in registry.apps.values()}) == len(registry.apps)


async def test_the_time_of_a_secret_is_that_of_its_own_change(store: AppStore) -> None:
    first = await added(store, new_app())
    await store.disable(first)
    disabled = (await store.read()).apps[first.app.alias]
    await store.set_secret(disabled, replace(first.app, secret=SecretStr("another")))
    changed = (await store.read()).apps[first.app.alias]

    assert disabled.secret_changed_at == first.secret_changed_at
    assert first.updated_at < disabled.updated_at < changed.updated_at
    assert changed.secret_changed_at == changed.updated_at
    assert changed.app.secret.get_secret_value() == "another"
    assert changed.app.status is AppStatus.DISABLED


async def test_wrong_limits_are_refused_as_in_the_file(store: AppStore) -> None:
    seen = await added(store, new_app())
    wrong = {"total": "ten", "limits": {"GET /a": "1/0"}, "all": "1/1"}
    with pytest.raises(LimitsError) as refused:
        await store.set_limits(seen, wrong)
    text = str(refused.value)
    assert f"[apps.{seen.app.alias}] has 'all', but may hold only total, limits" in text
    assert f"[apps.{seen.app.alias}] 'total'" in text
    assert f"[apps.{seen.app.alias}.limits] 'GET /a'" in text


async def test_an_app_that_is_purged_leaves_no_ticket(store: AppStore, database: Database) -> None:
    gone, other = [await added(store, new_app(kind=AppKind.STORE)) for _ in range(2)]
    tickets = AppTickets(database, KEYS)
    for stored in (gone, other):
        await tickets.put(stored.app, "ticket")
    await store.remove(gone)
    assert await tickets.get(gone.app)

    assert await store.purge(gone.app.alias)
    assert await tickets.get(gone.app) is None
    assert await tickets.get(other.app)


async def test_a_removed_app_stays_until_it_is_purged(store: AppStore) -> None:
    seen = await added(store, new_app())
    alias = seen.app.alias
    assert not await store.purge(alias)

    await store.remove(seen)

    removed = (await store.read()).apps[alias]
    assert removed.app.status is AppStatus.REMOVED
    with pytest.raises(RegistryError, match="is being removed"):
        await store.enable(removed)
    with pytest.raises(RegistryError, match="is being removed; wait"):
        await store.add(new_app(alias))
    assert await store.purge(alias)
    assert not await store.purge(alias)
    await store.add(new_app(alias))


async def test_a_member_of_a_pool_is_not_removed(store: AppStore, pools: PoolStore) -> None:
    seen = await added(store, new_app())
    await pools.add("contacts", ["default", seen.app.alias])
    with pytest.raises(RegistryError, match="a member of the pool 'contacts'"):
        await store.remove(seen)
    await pools.set_members((await store.read()).pools["contacts"], ["default"])
    await store.remove(seen)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], "at least one app"),
        (["default", "default"], "more than once"),
        (["default", "nobody"], "no app has the alias 'nobody'"),
    ],
)
async def test_a_pool_is_of_apps_that_there_are(
    pools: PoolStore, members: list[str], reason: str
) -> None:
    with pytest.raises(RegistryError, match=reason):
        await pools.add("contacts", members)


async def test_a_removed_pool_stays_until_it_is_purged(store: AppStore, pools: PoolStore) -> None:
    await pools.add("contacts", ["default"])
    seen = (await store.read()).pools["contacts"]
    assert not await store.purge("contacts")

    await pools.remove(seen)

    registry = await store.read()
    assert registry.pools["contacts"].pool.removed
    with pytest.raises(ChangedMeanwhile):
        await pools.set_members(registry.pools["contacts"], ["default"])
    with pytest.raises(RegistryError, match="the pool 'contacts' is being removed"):
        await store.add(new_app("contacts"))
    assert await store.purge("contacts")
    assert "contacts" not in (await store.read()).pools


async def test_every_change_is_on_record_once(store: AppStore, database: Database) -> None:
    seen = await added(store, new_app())
    alias = seen.app.alias
    await store.disable(seen)
    with pytest.raises(ChangedMeanwhile):
        await store.enable(seen)
    await store.set_limits((await store.read()).apps[alias], {"total": "100/60"})
    await store.remove((await store.read()).apps[alias])
    await store.purge(alias)

    rows = await database.fetch("SELECT * FROM app_audit WHERE alias = $1 ORDER BY at", alias)

    actions = [(row["action"], orjson.loads(row["details"])) for row in rows]
    assert [action for action, _ in actions] == ["add", "disable", "set-limits", "remove", "purge"]
    assert actions[0][1]["app_id"] == seen.app.app_id
    assert actions[2][1] == {"limits": {"total": "100/60"}}
    assert {row["actor"] for row in rows} == {"tests"}
