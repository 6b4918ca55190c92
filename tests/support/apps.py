"""Apps and pools in Postgres, changed as an operator would, for a gateway that runs."""

from __future__ import annotations

from dataclasses import replace

import aiohttp
from pydantic import SecretStr

from gateway.app_store import AppStore
from gateway.apps import App
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.pool_store import PoolStore
from sandbox.feishu import SandboxFeishu

SECRET_KEY = "5e" * 32


class Registry:
    """The apps and pools of a gateway whose Feishu is simulated."""

    def __init__(self, database: Database, simulated: SandboxFeishu) -> None:
        self._database = database
        self._simulated = simulated
        self._apps = AppStore(database, KeyRing.from_text(SECRET_KEY), actor="test")
        self._pools = PoolStore(database, actor="test")

    async def add(self, *aliases: str) -> None:
        """Add apps that Feishu knows too."""
        for alias in aliases:
            app = App(alias, app_id_of(alias), SecretStr(f"secret of {alias}"), self._simulated.url)
            await self.set_secret_at_feishu(alias, app.secret.get_secret_value())
            await self._apps.add(app)

    async def set_secret_at_feishu(self, alias: str, secret: str) -> None:
        """Change the secret that Feishu takes, and have it forget the app's tokens."""
        async with aiohttp.ClientSession(self._simulated.url) as http:
            app_id = {"app_id": app_id_of(alias)}
            for name, body in (("apps", {**app_id, "secret": secret}), ("revoke", app_id)):
                async with http.post(f"/_sandbox/{name}", json=body) as response:
                    assert response.status == 200, await response.text()

    async def set_secret(self, alias: str, secret: str) -> None:
        """Change the secret that the gateway has."""
        seen = (await self._apps.read()).apps[alias]
        await self._apps.set_secret(seen, replace(seen.app, secret=SecretStr(secret)))

    async def disable(self, alias: str) -> None:
        """Have every call of the app refused."""
        await self._apps.disable((await self._apps.read()).apps[alias])

    async def enable(self, alias: str) -> None:
        """Have calls made again."""
        await self._apps.enable((await self._apps.read()).apps[alias])

    async def remove(self, alias: str) -> None:
        """Give up an app or a pool."""
        registry = await self._apps.read()
        if alias in registry.pools:
            await self._pools.remove(registry.pools[alias])
        else:
            await self._apps.remove(registry.apps[alias])

    async def pool(self, alias: str, *members: str) -> None:
        """Add a pool."""
        await self._pools.add(alias, members)

    async def has(self, alias: str) -> bool:
        """Whether there is a row of this alias, removed or not."""
        registry = await self._apps.read()
        return alias in registry.apps or alias in registry.pools


def app_id_of(alias: str) -> str:
    """The id of the test's app with this alias, which is letters and digits."""
    return f"cli_{alias:0>16}"
