"""What one answer of Feishu means for the call, and what must be done about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from schemas.reply import ErrorType, Outcome

from .codes import Action, CodeRow, Scope, meaning_of
from .errors import AttemptFailed, Cause, GatewayError, NotNow, Refused
from .feishu import Answer
from .limits.buckets import Bucket
from .retry import RetryPolicy

REFUSALS_WITHOUT_ENVELOPE = frozenset({400, 401, 403, 404, 405, 413, 414, 415})
LONGEST_RESET = 60.0
"""Seconds; a longer advertised reset is believed up to here and then asked about again."""
BACK_OFF_SECONDS = 1.0
"""Where Feishu does not say how long, which its business codes never do; at least so long too."""
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_BUCKETS: Final[Mapping[Scope, frozenset[str]]] = {
    Scope.CHAT: frozenset({"chat", "user", "message"}),
    Scope.TABLE: frozenset({"table"}),
    Scope.DOCUMENT: frozenset({"document"}),
    Scope.DRIVE: frozenset({"drive"}),
}
"""Names of buckets by what a code speaks of; a scope that is missing here has no own bucket."""


class BucketFull(NotNow):
    """Feishu says that `bucket` is used up: nobody sends to it for `pause` seconds."""

    def __init__(
        self, bucket: Bucket, pause: float, answer: Answer, row: CodeRow | None = None
    ) -> None:
        super().__init__(
            ErrorType.RATE_LIMITED,
            _said(answer, row.meaning if row else "Feishu's limit for this API is used up"),
            retry_after=pause,
            code=answer.code,
            log_id=answer.log_id,
            hint=row.hint if row else None,
        )
        self.bucket = bucket
        self.pause = pause
        self.waits_in_line = True
        """Whether the limiter holds the call back for so long; else whoever repeats it must."""


class TokenRejected(NotNow):
    """Feishu did not accept the token; nothing was executed."""


class QuotaUsedUp(Refused):
    """A quota of a day or a month is used up; `row` says which and of what."""

    def __init__(self, row: CodeRow, answer: Answer) -> None:
        super().__init__(
            row.error,
            _said(answer, row.meaning),
            outcome=row.outcome,
            code=row.code,
            log_id=answer.log_id,
            hint=row.hint,
        )
        self.row = row


def judge(answer: Answer, policy: RetryPolicy, buckets: Sequence[Bucket]) -> GatewayError | None:
    """Say how an answer ends the try: None for a success, else what must be done about it.

    *buckets* are those of the call, the API's own first.
    """
    if answer.ok:
        return None
    if answer.flaw is not None:
        return Refused(
            ErrorType.BAD_RESPONSE, answer.flaw, outcome=Outcome.UNKNOWN, log_id=answer.log_id
        )
    code = answer.code
    if code is None:
        return _without_envelope(answer, policy, buckets[0])
    row = meaning_of(code)
    if row is not None and row.status in (None, answer.status):
        return _known(row, answer, policy, buckets)
    if answer.status == 429:
        return BucketFull(buckets[0], _pause(answer, policy), answer)
    if answer.status >= 500:
        return _unavailable(answer)
    return _refused(ErrorType.FEISHU_ERROR, Outcome.EXECUTED, answer)


def _known(
    row: CodeRow, answer: Answer, policy: RetryPolicy, buckets: Sequence[Bucket]
) -> GatewayError:
    match row.action:
        case Action.PAUSE | Action.BACK_OFF:
            return _limited(row, answer, policy, buckets)
        case Action.IN_PROGRESS:
            return _not_now(NotNow, row, answer, policy.spread(BACK_OFF_SECONDS))
        case Action.REFRESH_TOKEN:
            return _not_now(TokenRejected, row, answer, 0.0)
        case Action.QUOTA | Action.DAILY_QUOTA:
            return QuotaUsedUp(row, answer)
        case Action.RETRY if answer.status == 429:
            # Said of load: what is answered by a limit is no attempt, whatever its code.
            return BucketFull(buckets[0], _pause(answer, policy), answer)
        case Action.RETRY:
            return AttemptFailed(
                row.error,
                _said(answer, row.meaning),
                cause=Cause.SERVER_ERROR if answer.status >= 500 else Cause.INTERNAL_CODE,
                outcome=row.outcome,
                code=row.code,
                log_id=answer.log_id,
                hint=row.hint,
            )
    return _refused(row.error, row.outcome, answer, row)


def _limited(
    row: CodeRow, answer: Answer, policy: RetryPolicy, buckets: Sequence[Bucket]
) -> NotNow:
    """Pause the bucket that the row speaks of: that of the API where the call has none such."""
    pause = _pause(answer, policy)
    kinds = _BUCKETS.get(row.scope, frozenset()) if row.scope else frozenset()
    bucket = next((bucket for bucket in buckets[1:] if bucket.name in kinds), None)
    if bucket is None and row.action is Action.BACK_OFF:
        return _not_now(NotNow, row, answer, pause)
    return BucketFull(bucket or buckets[0], pause, answer, row)


def _without_envelope(answer: Answer, policy: RetryPolicy, api: Bucket) -> GatewayError:
    if answer.status == 429:
        return BucketFull(api, _pause(answer, policy), answer)
    if answer.status in REFUSALS_WITHOUT_ENVELOPE:
        return _refused(ErrorType.FEISHU_ERROR, Outcome.NOT_EXECUTED, answer)
    return _unavailable(answer)


def _pause(answer: Answer, policy: RetryPolicy) -> float:
    return policy.spread(reset_seconds(answer))


def reset_seconds(answer: Answer) -> float:
    """The advertised wait, between 1 and 60 s; 1 s where none is advertised.

    Feishu's own header comes first; `Retry-After` is what a proxy in between may say.
    """
    for name in ("x-ogw-ratelimit-reset", "retry-after"):
        text = answer.headers.get(name, "").strip()
        if _NUMBER.fullmatch(text) and float(text) > 0:
            return min(LONGEST_RESET, max(BACK_OFF_SECONDS, float(text)))
    return BACK_OFF_SECONDS


def _unavailable(answer: Answer) -> AttemptFailed:
    return AttemptFailed(
        ErrorType.FEISHU_UNAVAILABLE,
        _said(answer, f"Feishu answered with HTTP {answer.status}"),
        cause=Cause.SERVER_ERROR,
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
