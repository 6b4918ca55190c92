"""Processes that share the grants of users, and what happens to those grants at Feishu."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.tokens.grant_registry import GrantRegistry
from gateway.tokens.grant_store import GrantStore
from gateway.tokens.grants import UserGrants
from gateway.tokens.oauth import Pair
from gateway.tokens.successors import Successors
from gateway.tokens.token import Credential, Holder, Token
from sandbox.feishu.faults import Rule
from sandbox.feishu.oauth import OAUTH_V3, Statistics
from tests.integration.gateway.tokens.conftest import KEYS, Simulated

LEASE_SECONDS = 2.0
NOBODY = "redis://127.0.0.1:1/0"
"""A Redis that is away."""


@dataclass
class Process:
    """What one gateway process has to do with grants."""

    grants: UserGrants
    store: GrantStore
    successors: Successors
    database: Database


StartProcess = Callable[..., Awaitable[Process]]


class User:
    """One user of the simulated app, whose name is its own."""

    def __init__(self, feishu: Simulated, database: Database, name: str) -> None:
        self.feishu = feishu
        self.credential = Credential.of(feishu.app, Holder("user", name))
        self.name = name
        self._database = database

    async def authorize(self, keys: KeyRing = KEYS, **lives: int) -> Pair:
        """Grant the app what it asks for, and store the pair as an operator would."""
        oauth = self.feishu.server.world.oauth
        given = oauth.grant(self.feishu.app_id, self.name, "im:message offline_access")
        pair = Pair(
            given["access_token"],
            lives.get("access_seconds", given["expires_in"]),
            given["refresh_token"],
            given["refresh_token_expires_in"],
            given["scope"],
        )
        registry = GrantRegistry(self._database, keys, actor="tester")
        await registry.put(self.credential, pair, "user_imported")
        return pair

    async def row(self) -> dict[str, Any]:
        """The row as it is."""
        sql = "SELECT * FROM user_grants WHERE credential = $1"
        row = await self._database.fetchrow(sql, self.credential.key)
        assert row is not None
        return dict(row)

    async def set(self, assignments: str) -> None:
        """Change the row as time or another process would."""
        sql = f"UPDATE user_grants SET {assignments} WHERE credential = $1"  # noqa: S608
        assert await self._database.execute(sql, self.credential.key) == 1

    async def restore(self, row: dict[str, Any]) -> None:
        """Put an earlier state of the row in its place."""
        names = [name for name in row if name != "credential"]
        columns = ", ".join(f"{name} = ${place}" for place, name in enumerate(names, start=2))
        sql = f"UPDATE user_grants SET {columns} WHERE credential = $1"  # noqa: S608
        await self._database.execute(sql, row["credential"], *(row[name] for name in names))

    async def expire(self) -> None:
        """Let the stored access token be at its end."""
        await self.set("access_expires_at = now(), refreshed_at = now() - interval '2 hours'")

    async def soon_at_its_end(self) -> None:
        """Let the refresh token be in its last two days, unused since it was given."""
        ends = "refresh_expires_at = now() + interval '47 hours'"
        await self.set(f"{ends}, granted_at = now() - interval '5 days'")

    def token(self, value: str) -> Token:
        """A token as the pool would hold it."""
        return Token(value, self.credential, 0.0, 7200.0)

    def accepted(self, value: str) -> bool:
        """Whether Feishu takes this access token for this user."""
        found = self.feishu.server.world.tokens.find(value)
        return found is not None and found.user == self.name


def statistics(feishu: Simulated) -> Statistics:
    """What happened at the OAuth endpoints."""
    return feishu.server.world.oauth.statistics


def requests(feishu: Simulated) -> int:
    """How many requests arrived there."""
    return feishu.server.world.ledger.requests[OAUTH_V3]


def fail(feishu: Simulated, **fault: object) -> None:
    """Script a fault for the next request that arrives there."""
    template = OAUTH_V3.partition(" ")[2]
    feishu.server.world.script.rules.append(Rule.parse({"template": template, **fault}))


def print_of(pair: Pair) -> bytes:
    """Names the pair's refresh token."""
    return hashlib.sha256((pair.refresh_token or "").encode()).digest()
