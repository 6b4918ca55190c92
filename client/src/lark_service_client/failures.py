"""What the gateway answers instead of a success: one error for each type of the contract."""

from __future__ import annotations

from typing import ClassVar

from .errors import LarkError
from .reply import Reply
from .schemas.reply import ErrorType


class CallFailed(LarkError):
    """The gateway answered with an error, or would have; `type` is one of the contract's."""

    type: ClassVar[ErrorType]


class InvalidCall(CallFailed):
    """The message is no call: the sentence names the field and the rule. Also raised unsent."""

    type = ErrorType.INVALID_CALL


class Forbidden(CallFailed):
    """This producer may not use this app, API or credential endpoint."""

    type = ErrorType.FORBIDDEN


class Unroutable(CallFailed):
    """The gateway knows no such app alias or lane."""

    type = ErrorType.UNROUTED


class IdReused(CallFailed):
    """The call id was used before with another content."""

    type = ErrorType.ID_REUSED


class CredentialsInvalid(CallFailed):
    """Feishu refuses the app id or secret: the operator must repair the app."""

    type = ErrorType.CREDENTIALS_INVALID


class AppUnavailable(CallFailed):
    """The app is disabled in the gateway, or disabled or not installed at Feishu."""

    type = ErrorType.APP_UNAVAILABLE


class PermissionDenied(CallFailed):
    """A scope is missing; Feishu's own explanation is in `reply.response`."""

    type = ErrorType.PERMISSION_DENIED


class ReauthRequired(CallFailed):
    """The stored user grant is gone: the user must authorize again."""

    type = ErrorType.REAUTH_REQUIRED


class IpDenied(CallFailed):
    """The gateway's address is not on the app's allow-list."""

    type = ErrorType.IP_DENIED


class RateLimited(CallFailed):
    """There was no slot before the deadline; `retry_after` says when there is."""

    type = ErrorType.RATE_LIMITED

    @property
    def retry_after(self) -> float | None:
        """Seconds until the same call may be made, where the gateway knows."""
        milliseconds = self.error.retry_after_ms if self.error else None
        return None if milliseconds is None else milliseconds / 1000


class QuotaExhausted(CallFailed):
    """Feishu's monthly quota is used up."""

    type = ErrorType.QUOTA_EXHAUSTED


class CircuitOpen(CallFailed):
    """Feishu keeps failing for this API, so the call was not tried."""

    type = ErrorType.CIRCUIT_OPEN


class DeadlineExceeded(CallFailed):
    """The time given ran out before the call could be made."""

    type = ErrorType.DEADLINE_EXCEEDED


class StoreUnavailable(CallFailed):
    """The gateway cannot get at the credential right now."""

    type = ErrorType.STORE_UNAVAILABLE


class FeishuError(CallFailed):
    """Feishu said no; `code` is its own code, None where the answer was no envelope."""

    type = ErrorType.FEISHU_ERROR

    @property
    def code(self) -> int | None:
        """Feishu's error code."""
        return self.error.code if self.error else None


class FeishuUnavailable(CallFailed):
    """Feishu refused or cut connections or answered 5xx until the attempts were spent."""

    type = ErrorType.FEISHU_UNAVAILABLE


class FeishuTimeout(CallFailed):
    """Feishu did not answer in time until the attempts were spent."""

    type = ErrorType.TIMEOUT


class BadResponse(CallFailed):
    """Feishu's answer was not what it announced, a redirect, or too large."""

    type = ErrorType.BAD_RESPONSE


class OutcomeUnknown(CallFailed):
    """The call may or may not have been executed, and repeating it could do it twice."""

    type = ErrorType.OUTCOME_UNKNOWN


class InternalError(CallFailed):
    """A defect in the gateway."""

    type = ErrorType.INTERNAL


BY_TYPE: dict[ErrorType, type[CallFailed]] = {
    error.type: error
    for error in (
        InvalidCall, Forbidden, Unroutable, IdReused, CredentialsInvalid, AppUnavailable,
        PermissionDenied, ReauthRequired, IpDenied, RateLimited, QuotaExhausted, CircuitOpen,
        DeadlineExceeded, StoreUnavailable, FeishuError, FeishuUnavailable, FeishuTimeout,
        BadResponse, OutcomeUnknown, InternalError,
    )
}  # fmt: skip


def failure_of(reply: Reply, call_id: str | None = None) -> CallFailed:
    """Build the exception for a reply whose `ok` is false."""
    error = reply.error
    if error is None:
        return InternalError("the reply says neither success nor error", reply=reply)
    return BY_TYPE[error.type](error.message, call_id=call_id or reply.call_id, reply=reply)
