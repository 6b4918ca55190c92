"""Where Postgres holds sealed values: said once, for those who re-seal and check them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .crypto import context


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed values; `key` is the column that names the row, for the seal too."""

    table: str
    key: str
    column: str
    shown: str
    """An SQL expression that names the row to people."""
    rows: str = "true"
    """An SQL condition: the others are never opened again."""
    replaceable: bool = False
    """Whether the gateway gets another value by itself where this one is missing."""

    @property
    def key_type(self) -> str:
        """The SQL type of the key."""
        return "bytea" if self.key == "credential" else "text"

    @property
    def name(self) -> str:
        """Table and column."""
        return f"{self.table}.{self.column}"

    def context(self, key: str | bytes) -> bytes:
        """What the value of the row with this key is sealed for."""
        row = key.encode() if isinstance(key, str) else key
        return context("postgres", self.table, row, self.column)


SEALED_COLUMNS: Final = (
    SealedColumn("apps", "alias", "secret", "alias"),
    SealedColumn("app_tickets", "alias", "sealed", "alias"),
    SealedColumn("user_grants", "credential", "access_token", "app_id || ' ' || user_key"),
    SealedColumn("user_grants", "credential", "refresh_token", "app_id || ' ' || user_key"),
    SealedColumn(
        *("tokens", "credential", "sealed", "app_id || ' ' || kind", "expires_at > now()"),
        replaceable=True,
    ),
)
NOT_SECRET: Final = {
    "tokens.credential": "a digest",
    "tokens.fingerprint": "a digest",
    "user_grants.credential": "a digest",
    "user_grants.refresh_print": "a digest",
    "user_grants.spent_print": "a digest",
    "token_leases.credential": "a digest",
    "token_leases.failure": "words for people",
    "token_drops.fingerprint": "a digest",
    "dead_letters.body": "the producer's own",
    "outcomes.fingerprint": "a digest",
    "outcomes.recorded": "what Feishu answered",
}
"""The other columns of bytes, and what they hold."""
