"""Makes work of deliveries, and finds for a pool's call the member that serves it."""

from __future__ import annotations

import math
from dataclasses import replace

from gateway.apps import App, Apps, Pool
from gateway.catalogue import ApiClass
from gateway.dimensions import Dimensions
from gateway.errors import GatewayError, Refused
from gateway.executor import Ended
from gateway.jobs import Job, prepare
from gateway.member_claims import MemberClaims
from gateway.outcomes.fingerprint import fingerprint
from gateway.outcomes.protocol import Question
from gateway.producer_grants import ProducerGrants
from schemas.call import Call, TenantKey, UserKey
from schemas.names import Lane
from schemas.reply import ErrorType, Outcome

from .body import parse_call
from .choice import is_for_another, last_word
from .codec import Delivery, Envelope, address_of, check_reply_to, open_envelope
from .members import Members, none_left
from .work import Routing, Work, lane_of


class Opener:
    """Opens calls for apps and pools.

    A pool's call may be passed from member to member, until an attempt may have been executed: then
    it stays with that one for ever, since no other would discard its repeat.
    """

    def __init__(
        self,
        apps: Apps,
        dimensions: Dimensions,
        members: Members,
        claims: MemberClaims,
        producers: ProducerGrants,
    ) -> None:
        self._apps = apps
        self._dimensions = dimensions
        self._members = members
        self._claims = claims
        self._producers = producers

    def open(self, delivery: Delivery, alias: str) -> Work:
        """Read and check a delivery; raises Poison and GatewayError, of several the first rule."""
        called = self._apps.pool(alias) or self._called(alias, delivery)
        check_reply_to(delivery)
        envelope = open_envelope(delivery)
        call = parse_call(delivery.body)
        history = envelope.history
        if isinstance(called, App):
            job, routing = self._job(called, call, envelope, alias), None
            # Of a call that was sent and not ended, the attempt had no answer that would end it.
            job.doubtful = job.harmless and history.attempts > 0
        else:
            member = self._member(called, call, envelope, lane_of(delivery))
            job, routing = self._job(member, call, envelope, alias), Routing(call)
            job.doubtful = history.member is not None
        sent = history.redelivered or history.attempts > 0 or history.member is not None
        self._producers.check(history.producer, alias, call, sent=sent)
        job.attempts, job.tries = history.attempts, history.tries
        address = replace(address_of(delivery), call_id=envelope.call_id)
        question = _question(job, call, history.redelivered) if job.recorded else None
        return Work(delivery, alias, address, envelope, job, routing, question)

    async def claim(self, work: Work) -> None:
        """Make known which member has the call, before it is sent.

        Only where Feishu discards repeats by a key: R and I calls may be repeated by any app, and N
        calls are not repeated.
        """
        routing, job = work.routing, work.job
        if routing is None or job.klass is not ApiClass.KEYED or work.is_bound:
            return
        pool, call_id, member = job.alias, job.call_id, job.app.alias
        if routing.claimed == member:
            return
        if routing.claimed or (work.is_copy and not work.redelivered):
            await self._claims.give(pool, call_id, member)
        elif holder := await self._claims.take(pool, call_id, member):
            # It was sent by a process that crashed, or published twice.
            work.bind(holder)
            self._serve_by(work, routing, self._bound_to(holder))
            work.job.doubtful = True
        routing.claimed = work.job.app.alias

    async def end(self, work: Work, error: GatewayError | None) -> None:
        """The call is ended so: where nothing was executed, its claim is free."""
        if error is not None and error.outcome is Outcome.NOT_EXECUTED:
            await self.release(work)

    async def release(self, work: Work) -> None:
        """Let whoever gets the call next choose, unless this member may have executed it."""
        routing, job = work.routing, work.job
        if routing is not None and routing.claimed is not None and not job.doubtful:
            routing.claimed = None
            await self._claims.drop(job.alias, job.call_id)

    def pass_on(self, work: Work, ended: Ended) -> Ended | None:
        """Give the call to the next member where this one could not; None once that is done.

        Else what is to be settled: of several refusals the one that promises most.
        """
        routing, job = work.routing, work.job
        if routing is None or work.is_bound:
            return ended
        if job.doubtful:
            work.bind(job.app.alias)
            return ended
        pool = self._apps.pool(job.alias)
        if pool is None or not is_for_another(ended.error):
            return ended
        routing.refusals[job.app.alias] = ended
        app = self._members.choose(pool, routing.call, work.lane, routing.refusals)
        if app is not None:
            self._serve_by(work, routing, app)
            return None
        ended = last_word(routing.refusals.values())
        routing.refusals.clear()
        return ended

    def choose_again(self, work: Work) -> None:
        """Before the call is tried again: give it to the member with the most headroom now."""
        routing, job = work.routing, work.job
        # A rejected token is tried once more by who got it.
        if routing is None or work.is_bound or job.rejected is not None:
            return
        pool = self._apps.pool(job.alias)
        app = self._members.choose(pool, routing.call, work.lane) if pool else None
        if app is not None and app.alias != job.app.alias:
            self._serve_by(work, routing, app)

    def _called(self, alias: str, delivery: Delivery) -> App:
        # Of a call that may have been sent it is not said, as of others, that its app is disabled
        # and nothing was executed.
        known = self._apps.known(alias) if delivery.redelivered else None
        return known or self._apps.find(alias)

    def _member(self, pool: Pool, call: Call, envelope: Envelope, lane: Lane) -> App:
        if isinstance(call.as_, UserKey | TenantKey):
            raise Refused(
                ErrorType.INVALID_CALL,
                f"as: {pool.alias!r} is a pool, and a user's grant or a tenant is of one app; "
                "call that app by its own alias",
            )
        if envelope.history.member is not None:
            return self._bound_to(envelope.history.member)
        app = self._members.choose(pool, call, lane)
        if app is None:
            raise none_left(pool)
        return app

    def _bound_to(self, member: str) -> App:
        try:
            return self._apps.find(member)
        except GatewayError as error:
            raise Refused(
                ErrorType.OUTCOME_UNKNOWN,
                f"the app {member!r} may have carried out the call, and then: {error.message}",
                outcome=Outcome.UNKNOWN,
                hint="find out with a read before it is sent again",
            ) from None

    def _serve_by(self, work: Work, routing: Routing, app: App) -> None:
        before = work.job
        work.job = self._job(app, routing.call, work.envelope, before.alias)
        work.job.attempts, work.job.tries = before.attempts, before.tries
        work.job.upstream_seconds, work.job.claim = before.upstream_seconds, before.claim

    def _job(self, app: App, call: Call, envelope: Envelope, alias: str) -> Job:
        return prepare(
            app,
            call,
            self._dimensions,
            call_id=envelope.call_id,
            id_given=envelope.id_given,
            deadline=envelope.deadline,
            alias=alias,
        )


def _question(job: Job, call: Call, redelivered: bool) -> Question:
    # By what may be repeated: whoever accepts duplicates needs no key, nor does it get too old.
    klass = ApiClass.KEYED if job.harmless else ApiClass.NEITHER
    question = Question(job.alias, job.call_id, klass, fingerprint(call), redelivered)
    return replace(question, key_seconds=math.inf) if call.retry == "always" else question
