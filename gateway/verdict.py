"""What one answer of Feishu means for the call, and what must be done about it. Pure."""

from __future__ import annotations

import re

from schemas.reply import ErrorType, Outcome

from .codes import Action, CodeRow, meaning_of
from .errors import AttemptFailed, GatewayError, NotNow, Refused
from .feishu import Answer
from .retry import RetryPolicy

REFUSALS_WITHOUT_ENVELOPE = frozenset({400, 401, 403, 404, 405, 413, 414, 415})
LONGEST_RESET = 60.0
"""Seconds; a longer advertised reset is believed up to here and then asked about again."""
BACK_OFF_SECONDS = 1.0
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?")


class BucketFull(NotNow):
    """Feishu's limit for the API is used up: nobody sends to its bucket for `pause` seconds."""

    def __init__(self, pause: float, code: int | None, log_id: str | None) -> None:
        super().__init__(
            ErrorType.RATE_LIMITED,
            "Feishu's limit for this API is used up",
            retry_after=pause,
            code=code,
            log_id=log_id,
        )
        self.pause = pause


class TokenRejected(NotNow):
    """Feishu did not accept the token; nothing was executed."""


def judge(answer: Answer, policy: RetryPolicy) -> GatewayError | None:
    """Say how an answer ends the try: None for a success, else what must be done about it."""
    if answer.ok:
        return None
    if answer.flaw is not None:
        return Refused(
            ErrorType.BAD_RESPONSE, answer.flaw, outcome=Outcome.UNKNOWN, log_id=answer.log_id
        )
    code = answer.code
    if code is None:
        return _without_envelope(answer, policy)
    row = meaning_of(code)
    if row is not None and row.status in (None, answer.status):
        return _known(row, answer, policy)
    if answer.status == 429:
        return _full(answer, policy)
    if answer.status >= 500:
        return _unavailable(answer)
    return _refused(ErrorType.FEISHU_ERROR, Outcome.EXECUTED, answer)


def _known(row: CodeRow, answer: Answer, policy: RetryPolicy) -> GatewayError:
    match row.action:
        case Action.PAUSE_API:
            return _full(answer, policy)
        case Action.BACK_OFF | Action.IN_PROGRESS:
            return _not_now(NotNow, row, answer, policy.spread(BACK_OFF_SECONDS))
        case Action.REFRESH_TOKEN:
            return _not_now(TokenRejected, row, answer, 0.0)
        case Action.RETRY:
            return AttemptFailed(
                row.error,
                _said(answer, row.meaning),
                outcome=row.outcome,
                code=row.code,
                log_id=answer.log_id,
                hint=row.hint,
            )
    return _refused(row.error, row.outcome, answer, row)


def _without_envelope(answer: Answer, policy: RetryPolicy) -> GatewayError:
    if answer.status == 429:
        return _full(answer, policy)
    if answer.status in REFUSALS_WITHOUT_ENVELOPE:
        return _refused(ErrorType.FEISHU_ERROR, Outcome.NOT_EXECUTED, answer)
    return _unavailable(answer)


def _full(answer: Answer, policy: RetryPolicy) -> BucketFull:
    pause = policy.spread(reset_seconds(answer))
    return BucketFull(pause, answer.code, answer.log_id)


def reset_seconds(answer: Answer) -> float:
    """The advertised wait, between 1 and 60 s; 1 s where it is missing or no number."""
    text = answer.headers.get("x-ogw-ratelimit-reset", "")
    return min(LONGEST_RESET, max(1.0, float(text))) if _NUMBER.fullmatch(text) else 1.0


def _unavailable(answer: Answer) -> AttemptFailed:
    return AttemptFailed(
        ErrorType.FEISHU_UNAVAILABLE,
        _said(answer, f"Feishu answered with HTTP {answer.status}"),
        outcome=Outcome.UNKNOWN,
        code=answer.code,
        log_id=answer.log_id,
    )


def _refused(
    type_: ErrorType, outcome: Outcome, answer: Answer, row: CodeRow | None = None
) -> Refused:
    meaning = row.meaning if row else f"Feishu answered with HTTP {answer.status}"
    return Refused(
        type_,
        _said(answer, meaning),
        outcome=outcome,
        code=answer.code,
        log_id=answer.log_id,
        hint=row.hint if row else None,
    )


def _not_now(kind: type[NotNow], row: CodeRow, answer: Answer, delay: float) -> NotNow:
    return kind(
        row.error,
        _said(answer, row.meaning),
        outcome=row.outcome,
        retry_after=delay,
        code=row.code,
        log_id=answer.log_id,
        hint=row.hint,
    )


def _said(answer: Answer, meaning: str) -> str:
    return f"{meaning}: {answer.message}" if answer.message else meaning
