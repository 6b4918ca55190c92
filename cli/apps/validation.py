"""Asks Feishu whether the credentials of an app work; no stored token is read or changed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import aiohttp

from cli.exits import APP_UNAVAILABLE, CANNOT_REACH, CREDENTIALS, FAILED
from gateway.apps import App, AppKind
from gateway.errors import GatewayError, Refused
from gateway.feishu import open_session
from gateway.tokens.endpoint import TokenEndpoint
from gateway.tokens.issuer import Issuer
from gateway.tokens.resends import ask_for_ticket
from gateway.tokens.token import Credential
from schemas.reply import ErrorType


class Verdict(StrEnum):
    """What came of asking."""

    OK = "ok"
    CREDENTIALS_INVALID = "credentials_invalid"
    APP_UNAVAILABLE = "app_unavailable"
    """Disabled at Feishu, or not installed."""
    UNREACHABLE = "unreachable"
    """The network, or Feishu itself; nothing is known about the credentials."""
    REFUSED = "refused"
    """For another reason, such as the address of this machine."""
    UNREADABLE = "unreadable"
    """The stored secret cannot be opened, so there was nothing to ask with."""


_EXITS: Final = {
    Verdict.OK: 0,
    Verdict.CREDENTIALS_INVALID: CREDENTIALS,
    Verdict.APP_UNAVAILABLE: APP_UNAVAILABLE,
    Verdict.UNREACHABLE: CANNOT_REACH,
}
_REFUSALS: Final = {
    ErrorType.CREDENTIALS_INVALID: Verdict.CREDENTIALS_INVALID,
    ErrorType.APP_UNAVAILABLE: Verdict.APP_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Validation:
    """The verdict in words; `code` and `log_id` are Feishu's, where it answered."""

    app: App
    verdict: Verdict
    message: str
    hint: str | None = None
    code: int | None = None
    log_id: str | None = None

    @property
    def exit_code(self) -> int:
        """How a command ends that only asked."""
        return _EXITS.get(self.verdict, FAILED)

    def as_json(self) -> dict[str, Any]:
        """Everything, as values that JSON can carry; no secret."""
        return {
            "ok": self.verdict is Verdict.OK,
            "app": self.app.alias,
            "app_id": self.app.app_id,
            "domain": self.app.domain,
            "status": self.app.status,
            "verdict": self.verdict,
            "message": self.message,
            "hint": self.hint,
            "code": self.code,
            "log_id": self.log_id,
        }


async def validate_app(app: App, ca_file: Path | None = None) -> Validation:
    """Ask Feishu for a token and throw it away, for a store app to push its ticket.

    Answers within the budget of a request for a token.
    """
    if app.unreadable is not None:
        return Validation(
            app,
            Verdict.UNREADABLE,
            f"the stored secret cannot be read: {app.unreadable}",
            f"lark-service app set-secret {app.alias}",
        )
    async with open_session(ca_file) as session:
        try:
            await _ask(session, app)
        except GatewayError as error:
            return _failed(app, error)
    return Validation(app, Verdict.OK, f"{app.domain} takes the credentials of {app.app_id}")


async def _ask(session: aiohttp.ClientSession, app: App) -> None:
    if app.kind is AppKind.STORE:
        await ask_for_ticket(TokenEndpoint(session), app)
    else:
        await Issuer(session).issue(Credential.of(app), None)


def _failed(app: App, error: GatewayError) -> Validation:
    verdict = Verdict.UNREACHABLE
    if isinstance(error, Refused):
        verdict = _REFUSALS.get(error.type, Verdict.REFUSED)
    return Validation(app, verdict, error.message, error.hint, error.code, error.log_id)
