"""Where new tokens come from, by the kind of app and of holder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from gateway.apps import AppKind
from gateway.errors import Refused
from schemas.reply import ErrorType

from .token import Credential, Token


@dataclass(frozen=True, slots=True)
class Issued:
    """A token to be used; `expires_in` is the seconds it has left, not a new one's life."""

    token: str = field(repr=False)
    expires_in: float


class TokenSource(Protocol):
    """Gives out tokens of some kind of credential."""

    async def issue(self, credential: Credential, than: Token | None) -> Issued:
        """Get a token, where one *than* which it must be newer is known.

        Raises Refused, NotNow or AttemptFailed; no message holds a secret.
        """
        ...


class Sources:
    """Sends each credential to the source of its kind."""

    def __init__(
        self,
        self_built: TokenSource,
        store: TokenSource | None = None,
        users: TokenSource | None = None,
    ) -> None:
        self._self_built = self_built
        self._store = store
        self._users = users

    async def issue(self, credential: Credential, than: Token | None) -> Issued:
        """Get a token from whoever has those of this kind."""
        source: TokenSource | None = self._self_built
        if credential.holder.kind == "user":
            source = self._users
        elif credential.app.kind is AppKind.STORE:
            source = self._store
        if source is None and credential.holder.kind == "user":
            raise Refused(
                ErrorType.REAUTH_REQUIRED,
                "as: no grant of this user is stored",
                hint="the user must authorize the app first",
            )
        if source is None:
            raise Refused(
                ErrorType.INVALID_CALL, "as: this gateway issues no tokens for apps of the store"
            )
        return await source.issue(credential, than)
