"""The root of every error, and the errors of calls that got no answer.

LarkError
├── CallFailed       the gateway answered with an error: see `failures`
└── TransportError   no answer came
    ├── NotConfirmed     the broker did not say in time that it accepted the call
    │   └── NotConnected     nothing was sent: there was no connection
    ├── ConnectionLost   the connection ended while the reply was awaited
    ├── ReplyTimeout     accepted, but no reply: no gateway is running
    └── UnreadableReply  a reply that this version of the client does not understand
"""

from __future__ import annotations

from .reply import Reply
from .schemas.reply import CallError, Outcome


class LarkError(Exception):
    """A call without success; `reply` is what the gateway answered, if it did.

    `outcome` says what Feishu did, `retryable` whether the same call with the same `call_id` may
    be made again without harm.
    """

    def __init__(
        self,
        message: str,
        *,
        call_id: str | None = None,
        reply: Reply | None = None,
        outcome: Outcome = Outcome.UNKNOWN,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.call_id = call_id
        self.reply = reply
        self.outcome = self.error.outcome if self.error else outcome
        self.retryable = self.error.retryable if self.error else retryable

    @property
    def error(self) -> CallError | None:
        """The `error` object of the reply."""
        return self.reply.error if self.reply else None

    def __str__(self) -> str:
        error = self.error
        facts = {
            "type": error and error.type,
            "code": error and error.code,
            "call": self.call_id,
            "log id": error and error.log_id,
        }
        told = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
        hint = f"; {error.hint}" if error and error.hint else ""
        return f"{self.message}{hint}" + (f" ({told})" if told else "")


class TransportError(LarkError):
    """No answer came; unless the class says otherwise the call may have been executed."""


class NotConfirmed(TransportError):
    """The broker refused the call or did not accept it in time."""


class NotConnected(NotConfirmed):
    """There was no connection to the broker in time, so nothing was sent."""

    def __init__(self, message: str, *, call_id: str | None = None) -> None:
        super().__init__(message, call_id=call_id, outcome=Outcome.NOT_EXECUTED, retryable=True)


class ConnectionLost(TransportError):
    """The connection ended after the call was sent; its reply, if any, cannot arrive any more."""


class ReplyTimeout(TransportError):
    """The broker accepted the call, but no gateway answered it within its time."""


class UnreadableReply(TransportError):
    """The reply breaks the contract that this client knows; a newer client may read it."""
