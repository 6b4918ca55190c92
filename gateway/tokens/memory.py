"""What one process knows of its tokens. Does no I/O; every instant is an argument."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Set
from dataclasses import dataclass

from gateway.apps import App
from gateway.errors import GatewayError

from .token import Credential, Holder, Token

CONFIRMED_SECONDS = 5.0
_MOST_REJECTED = 10_000
_REMEMBERED_SECONDS = 86_400.0
"""No token that was older than a rejected one lives longer."""

Slot = tuple[str, Holder]
"""Alias and holder: quick to look up, and a changed secret takes the place of the former one."""


@dataclass(slots=True)
class Held:
    """A token in use; `renew_at` moves when a renewal fails."""

    token: Token
    renew_at: float
    usable_until: float
    app: App

    def serves(self, app: App) -> bool:
        """Whether the token is one of this app as it is now.

        The app is remembered, so that only the first call after it was read anew compares more
        than its identity: two that differ in their limits or status have the same tokens.
        """
        if app is self.app:
            return True
        if _identity(app) != _identity(self.app):
            return False
        self.app = app
        return True


class Memory:
    """The tokens in use, those that Feishu rejected, and failures that need not be repeated."""

    def __init__(self) -> None:
        self.held: dict[Slot, Held] = {}
        self._rejected: OrderedDict[bytes, float] = OrderedDict()
        self._rejected_until: dict[bytes, float] = {}
        self._last_rejected: dict[bytes, Token] = {}
        self._confirmed: dict[bytes, float] = {}
        self._failures: dict[bytes, tuple[float, GatewayError]] = {}

    def hold(self, token: Token, draw: float) -> None:
        """Use this token from now on, unless it was asked for before it had to be forgotten."""
        if token.issued_at <= self._rejected_until.get(token.credential.key, -math.inf):
            return
        app = token.credential.app
        slot = (app.alias, token.credential.holder)
        self.held[slot] = Held(token, token.renew_at(draw), token.usable_until, app)
        self._failures.pop(token.credential.key, None)

    def forget(self, fingerprints: Set[bytes], now: float) -> int:
        """Use these tokens no more, and return how many were in use; a store may have newer.

        The key of a credential stands for all of its tokens so far, in Redis as well.
        """
        if not fingerprints:
            return 0
        # What is no credential's key names nothing here, and is swept out in time.
        self._rejected_until |= dict.fromkeys(fingerprints, now)
        slots = [
            slot
            for slot, held in self.held.items()
            if held.token.fingerprint in fingerprints or held.token.credential.key in fingerprints
        ]
        for slot in slots:
            del self.held[slot]
        return len(slots)

    def sweep(self, now: float) -> None:
        """Let go of all that has ended, so that what was used once does not stay for ever."""
        self.held = {slot: held for slot, held in self.held.items() if held.usable_until > now}
        self._failures = {key: entry for key, entry in self._failures.items() if entry[0] > now}
        self._rejected_until = {
            key: until
            for key, until in self._rejected_until.items()
            if until > now - _REMEMBERED_SECONDS
        }
        self._last_rejected = {
            key: token for key, token in self._last_rejected.items() if token.expires_at > now
        }

    def accepts(self, token: Token, now: float, than: Token | None) -> bool:
        """Whether a token out of a store may be used, where a newer one *than* that is wanted.

        A token older than a rejected one is not worth a try: a store that lags may still have it.
        """
        if now >= token.usable_until or self.has_rejected(token):
            return False
        if token.issued_at <= self._rejected_until.get(token.credential.key, -math.inf):
            return False
        if than is None:
            return True
        return token.value != than.value and token.expires_at > than.expires_at

    def reject(self, token: Token, now: float) -> bool:
        """Drop exactly this token; False where there is nothing to do about it (any more).

        A token that Feishu gave out again after it was rejected is kept for some seconds: not the
        token is at fault but the call, and asking again for each such call would only load Feishu.
        """
        fingerprint = token.fingerprint
        if fingerprint in self._rejected or self._confirmed.get(fingerprint, now) > now:
            return False
        self._rejected[fingerprint] = now
        if len(self._rejected) > _MOST_REJECTED:
            self._rejected.popitem(last=False)
        key = token.credential.key
        rejected_until = self._rejected_until.get(key, -math.inf)
        self._rejected_until[key] = max(rejected_until, token.issued_at)
        self._last_rejected[key] = token
        slot = (token.credential.app.alias, token.credential.holder)
        held = self.held.get(slot)
        if held is not None and held.token.value == token.value:
            del self.held[slot]
        return True

    def has_rejected(self, token: Token) -> bool:
        """Whether Feishu rejected this token and did not give it out again since."""
        return token.fingerprint in self._rejected

    def last_rejected(self, credential: Credential) -> Token | None:
        """The token that Feishu rejected last, where it did not give that one out again since."""
        token = self._last_rejected.get(credential.key)
        return token if token is not None and self.has_rejected(token) else None

    def confirm(self, token: Token, now: float) -> None:
        """Take note that Feishu gave out this token.

        An answer to a question that is older than the rejection says nothing about the token.
        """
        rejected_at = self._rejected.get(token.fingerprint)
        if rejected_at is None or token.issued_at <= rejected_at:
            return
        del self._rejected[token.fingerprint]
        self._confirmed = {key: end for key, end in self._confirmed.items() if end > now}
        self._confirmed[token.fingerprint] = now + CONFIRMED_SECONDS

    def fail(self, credential: Credential, error: GatewayError, until: float) -> None:
        """Answer with this failure until then instead of asking again."""
        self._failures[credential.key] = (until, error)

    def failure(self, credential: Credential, now: float) -> GatewayError | None:
        """The failure that still stands for this credential."""
        entry = self._failures.get(credential.key)
        if entry is None:
            return None
        if entry[0] <= now:
            del self._failures[credential.key]
            return None
        return entry[1]


def _identity(app: App) -> tuple[object, ...]:
    return app.domain, app.app_id, app.kind, app.secret
