"""A token, whose it is, and when it is to be renewed. Pure: every instant is an argument."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gateway.apps import App

RENEWAL_WINDOW = 1800.0
"""Seconds before its end from which Feishu gives out a new token; before, it is the same one."""
EARLIEST_RENEWAL = 1500.0
LATEST_RENEWAL = 600.0
MARGIN = 60.0
"""Seconds before its end from which a token is no longer attached to a call."""


class Holder(NamedTuple):
    """Whose token, as a call's `as` says: the app's in a tenant, the app's own, or a user's.

    `name` is the tenant key of a store app's customer or the key of a user grant, else empty. A
    tuple, since every call looks its token up by it, and tuples are hashed fastest.
    """

    kind: Literal["tenant", "app", "user"]
    name: str = ""


TENANT = Holder("tenant")
"""The app in its own tenant."""
APP = Holder("app")
"""A store app itself; a self-built app has one token for both."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a token is issued for; `key` names it in every process.

    Another secret makes another credential, except of a user: a grant outlives a change of secret.
    """

    app: App
    holder: Holder
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, app: App, holder: Holder = TENANT) -> Credential:
        """Name the credential of this holder."""
        secret = ""
        if holder.kind != "user":
            secret = hashlib.sha256(app.secret.get_secret_value().encode()).hexdigest()
        whole = hashlib.sha256()
        for part in (app.domain, app.app_id, secret, holder.kind, holder.name):
            # With its length before it, no part can pass for the end of another.
            whole.update(f"{len(part.encode())}:{part}".encode())
        return cls(app, holder, whole.digest())

    @property
    def durable_elsewhere(self) -> bool:
        """Whether its source itself keeps the token in Postgres and lets one process refresh it."""
        return self.holder.kind == "user"


@dataclass(frozen=True, slots=True)
class Token:
    """One token, equal to another of the same value. Instants are on the monotonic clock."""

    value: str = field(repr=False)
    credential: Credential = field(repr=False)
    issued_at: float = field(compare=False)
    """When Feishu was asked for it, so that `expires_at` is never too late."""
    expires_at: float = field(compare=False)

    @property
    def fingerprint(self) -> bytes:
        """Names the token where the token itself must not be seen."""
        return hashlib.sha256(self.value.encode()).digest()

    @property
    def life(self) -> float:
        """The seconds it had when it was given out."""
        return self.expires_at - self.issued_at

    @property
    def usable_until(self) -> float:
        """When it is no longer attached to calls: a minute before its end, less in a short life."""
        return self.expires_at - min(MARGIN, self.life / 10)

    def renew_at(self, draw: float) -> float:
        """When to ask for the next one; *draw* in [0, 1) spreads the processes of a fleet.

        10 to 25 minutes before the end, inside the half hour in which Feishu has a new one. A token
        that lives less than that half hour is renewed at the same share of its life.
        """
        scale = min(1.0, self.life / RENEWAL_WINDOW)
        left = LATEST_RENEWAL + (EARLIEST_RENEWAL - LATEST_RENEWAL) * draw
        return self.expires_at - left * scale
