"""One try of one call: a token, one request, what the answer means."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from schemas.reply import ErrorType, Outcome

from .codes import meaning_of
from .errors import AttemptFailed, Expired, GatewayError, NotNow, Refused
from .feishu import Answer, Feishu
from .jobs import Job
from .limits.protocol import Limits
from .metrics import Metrics
from .outcomes.protocol import Outcomes
from .quota import Quotas
from .retry import RetryPolicy
from .tokens.pool import TokenPool
from .tokens.token import Holder, Token
from .verdict import BucketFull, QuotaUsedUp, TokenRejected, judge

GRACE_SECONDS = 0.5
"""How long after the deadline a running attempt is cut; the reply must be out within a second."""
MOST_REJECTIONS = 3
"""How often a call is repeated with another token of its app. Where not the token is at fault but
the call, Feishu gives out the same one again, and it ends sooner."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one try ended: Feishu's answer, if any, and the error unless it is a success."""

    answer: Answer | None
    error: GatewayError | None


class Executor:
    """Carries out one try of a call that holds its permit."""

    def __init__(
        self,
        tokens: TokenPool,
        feishu: Feishu,
        limiter: Limits,
        quotas: Quotas,
        policy: RetryPolicy,
        outcomes: Outcomes,
        metrics: Metrics,
        *,
        api_timeout: float,
    ) -> None:
        self._tokens = tokens
        self._feishu = feishu
        self._limiter = limiter
        self._quotas = quotas
        self._policy = policy
        self._outcomes = outcomes
        self._metrics = metrics
        self._api_timeout = api_timeout

    async def foresee(self, job: Job) -> None:
        """Raise Refused where a user's grant is gone: no slot would help the call.

        Other failures pass: the token may be there by the call's turn.
        """
        if job.holder is not None and job.holder.kind == "user":
            with suppress(NotNow, AttemptFailed, Expired):
                await self._token(job)

    async def execute(self, job: Job) -> Ended:
        """Try once and say how it ended; count the try in *job*."""
        answer: Answer | None = None
        try:
            if refusal := await self._quotas.refused(job):
                raise refusal
            token = await self._token(job)
            sent_at = time.monotonic()
            answer = await self._send(job, token)
            error = await self._learn(job, token, answer, sent_at)
        except TokenRefused as raised:
            answer, error = job.rejection, raised
        except GatewayError as raised:
            error = raised
        if not isinstance(error, NotNow | TokenRefused):
            job.tries += 1
            doubtful = error is not None and error.outcome is Outcome.UNKNOWN
            job.doubtful = job.doubtful or doubtful
            if answer is not None or doubtful:
                job.attempts += 1
        return Ended(answer, error)

    async def _token(self, job: Job) -> Token | None:
        if job.holder is None:
            return None
        return await self._tokens.get(
            job.app, job.holder, timeout=max(0.1, job.deadline - time.time())
        )

    async def _send(self, job: Job, token: Token | None) -> Answer:
        _seconds_left(job)
        if token is not None and token == job.rejected:
            # The refresh brought the same string: asking once more would be answered the same.
            rejection = job.rejection
            again = judge(rejection, self._policy, job.buckets) if rejection else None
            raise TokenRefused(again, job.holder)
        await self._begin(job)
        left = _seconds_left(job)
        started = time.monotonic()
        status = "failed"
        try:
            answer = await self._feishu.send(
                job.request,
                None if token is None else token.value,
                min(self._api_timeout, left + GRACE_SECONDS),
            )
            status = str(answer.status)
        finally:
            seconds = time.monotonic() - started
            job.upstream_seconds += seconds
            self._metrics.feishu_seconds.labels(job.route.name).observe(seconds)
            self._metrics.feishu_requests.labels(job.route.name, status).inc()
        if answer.code:
            known = meaning_of(answer.code) is not None
            self._metrics.feishu_codes.labels(str(answer.code) if known else "other").inc()
        return answer

    async def _begin(self, job: Job) -> None:
        claim = job.claim
        if claim is None or claim.started:
            return
        try:
            await self._outcomes.begin(claim)
        except NotNow as reason:
            if not reason.retry_after:
                # Another process has the call now.
                job.claim = None
            raise

    async def _learn(
        self, job: Job, token: Token | None, answer: Answer, sent_at: float
    ) -> GatewayError | None:
        """Judge the answer, and tell those whom it concerns what it says of limits and tokens."""
        error = judge(answer, self._policy, job.buckets)
        if isinstance(error, BucketFull):
            await self._full(job, error, sent_at)
            return error
        self._limiter.accepted(job.buckets, job.permit_at)
        if isinstance(error, TokenRejected):
            return await self._rejected(job, token, answer, error)
        if isinstance(error, QuotaUsedUp):
            return await self._quotas.exhausted(job, error)
        if job.probes and (error is None or error.outcome is Outcome.EXECUTED):
            await self._quotas.passed(job)
        return error

    async def _full(self, job: Job, error: BucketFull, sent_at: float) -> None:
        api, bucket = job.buckets[0], error.bucket
        if bucket is not api:
            # What speaks of one chat or table got past the limit of its API.
            others = tuple(other for other in job.buckets if other is not bucket)
            self._limiter.accepted(others, job.permit_at)
        known = error.code is not None and meaning_of(error.code) is not None
        self._metrics.limit_pauses.labels(bucket.name).inc()
        self._metrics.limit_rejections.labels(
            bucket.name, str(error.code) if known else "other"
        ).inc()
        error.waits_in_line = await self._limiter.rejected(bucket, error.pause, sent_at)

    async def _rejected(
        self, job: Job, token: Token | None, answer: Answer, error: TokenRejected
    ) -> GatewayError:
        if token is not None:
            await self._tokens.rejected(token)
        # A user's token is another one after every refresh, whatever was wrong.
        of_user = token is not None and token.credential.holder.kind == "user"
        if token is None or job.rejections >= (1 if of_user else MOST_REJECTIONS):
            return TokenRefused(error, job.holder)
        job.rejected, job.rejection = token, answer
        job.rejections += 1
        return error


def _seconds_left(job: Job) -> float:
    left = job.deadline - time.time()
    if left <= 0:
        raise Expired
    return left


class TokenRefused(Refused):
    """A fresh token did not help, or there is none to refresh: the token is not what is wrong."""

    def __init__(self, rejection: GatewayError | None, holder: Holder | None) -> None:
        super().__init__(
            ErrorType.FEISHU_ERROR,
            rejection.message if rejection else "Feishu rejected a fresh token as well",
            code=rejection.code if rejection else None,
            log_id=rejection.log_id if rejection else None,
            hint=f"this API may not accept a {holder.kind} token" if holder else None,
        )
