"""A call made ready: its API, its class, its buckets and the request to send. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.call import Call, TenantKey, UserKey
from schemas.reply import ErrorType, Outcome

from .apps import App, AppKind
from .catalogue import ApiClass, Route, class_of, derive_key, with_idempotency_key
from .dimensions import Dimensions, sequence_of
from .errors import AttemptFailed, GatewayError, Refused
from .feishu import Answer
from .limits.buckets import Bucket
from .outcomes.protocol import Claim
from .request import Request, build_request
from .retry import RetryPolicy, Step, next_step
from .tokens.token import APP, TENANT, Holder, Token


@dataclass(slots=True)
class Job:
    """One call on its way. *deadline* is Unix time; the counters change as it is tried."""

    call_id: str
    alias: str
    """What it was called by: the app's own alias, or that of a pool that the app serves."""
    app: App
    route: Route
    klass: ApiClass
    request: Request
    buckets: tuple[Bucket, ...]
    """What one permit is taken from, all at once: the API's own bucket first."""
    holder: Holder | None
    """Whose token it carries; None for none."""
    deadline: float
    once: bool
    """The producer allows one attempt that may reach the API."""
    harmless: bool
    """Sending it twice does no harm, by its class or by the producer's word."""
    redeliverable: bool
    """It may be carried out although it may have been sent before a crash."""
    recorded: bool
    """How it ends is kept under its call id, for whoever publishes that id again."""
    sequence: int | None = None
    """Its place among the updates of one card, which Feishu takes in rising order only."""
    attempts: int = 0
    """Requests sent, without those that a limit or a rejected token answered."""
    tries: int = 0
    """Attempts spent, sent or not; what the retry policy counts."""
    doubtful: bool = False
    """An attempt may have been executed, of which no answer says so."""
    rejected: Token | None = field(default=None, repr=False)
    """The token that Feishu rejected last, and how."""
    rejection: Answer | None = field(default=None, repr=False)
    rejections: int = 0
    failure: tuple[Answer | None, GatewayError] | None = field(default=None, repr=False)
    """How its last attempt failed, for when it is not repeated after all."""
    paid: int = 0
    """Tries whose repeat the budget has been asked for."""
    needs: float = 0.2
    """Seconds that the API takes to answer, as known when it was last tried."""
    permit_at: float = 0.0
    """`time.monotonic()` from when the permit of this try holds."""
    probes: bool = False
    """It is sent although a quota is used up, to see whether that still holds."""
    upstream_seconds: float = 0.0
    claim: Claim | None = None
    """By what right it is carried out, where how it ends is kept."""

    @property
    def pool(self) -> str | None:
        """The pool that the app serves the call for; None where the call is the app's own."""
        return None if self.alias == self.app.alias else self.alias

    @property
    def tenant(self) -> str | None:
        """The tenant whose limits and quotas hold; None for the app's only one, or no one's."""
        return _tenant(self.holder)


def prepare(
    app: App,
    call: Call,
    dimensions: Dimensions,
    *,
    call_id: str,
    id_given: bool,
    deadline: float,
    alias: str | None = None,
) -> Job:
    """Make a job; raise Refused where the call cannot be made for this app.

    *alias* is that of the pool that the app serves the call for.
    """
    alias = alias or app.alias
    path = call.filled_path()
    route = dimensions.catalogue.route(call.method, path)
    query: Mapping[str, Any] = call.query
    body = call.body
    placed = False
    if route.klass is ApiClass.KEYED:
        # Not of the member's alias: whichever has it, the call is the same.
        key = derive_key(alias, call_id)
        keyed = with_idempotency_key(route, query, body, key)
        query, body, placed = keyed.query, keyed.body, keyed.placed
    klass = class_of(route, placed)
    harmless = call.retry == "always" or klass is not ApiClass.NEITHER
    # Without a call id the key is made up per delivery: after a crash it would be another one.
    same_key = klass is not ApiClass.KEYED or id_given or call.retry == "always"
    holder = _holder(app, call)
    buckets = dimensions.buckets(app, _tenant(holder), route, path, query, body)
    return Job(
        call_id=call_id,
        alias=alias,
        app=app,
        route=route,
        klass=klass,
        request=build_request(app.domain, call, dict(query), body),
        buckets=buckets,
        holder=holder,
        deadline=deadline,
        once=call.retry == "never",
        harmless=harmless,
        redeliverable=harmless and same_key and call.retry != "never",
        recorded=id_given and klass in (ApiClass.KEYED, ApiClass.NEITHER),
        sequence=sequence_of(buckets, body),
    )


def may_repeat(job: Job, error: AttemptFailed, policy: RetryPolicy) -> bool:
    """Whether attempts are left for the call, and this failure allows one."""
    unsent = error.outcome is Outcome.NOT_EXECUTED
    step = next_step(unsent=unsent, harmless=job.harmless, once=job.once)
    return job.tries < policy.max_attempts and step is Step.REPEAT


def _holder(app: App, call: Call) -> Holder | None:
    """Whose token the call carries, None for none; raises Refused where the app has no such."""
    store = app.kind is AppKind.STORE
    match call.as_:
        case "none":
            return None
        case TenantKey(tenant=key) if store:
            return Holder("tenant", key)
        case TenantKey():
            raise Refused(
                ErrorType.INVALID_CALL, "as: this app is self-built; it has no other tenants"
            )
        case UserKey(user=key):
            return Holder("user", key)
        case "app" if store:
            return APP
        case _ if store:
            raise Refused(
                ErrorType.INVALID_CALL,
                "as: this app is of the store and has many tenants; name the one that the call is "
                'for: {"tenant": "<tenant_key>"}',
            )
    # Feishu gives a self-built app the same string as app and as tenant token.
    return TENANT


def _tenant(holder: Holder | None) -> str | None:
    """The tenant that a call names, None for a self-built app, which has one alone."""
    # Of which tenant a user is, only Feishu knows: users of all tenants share a budget.
    return holder.name if holder is not None and holder.kind == "tenant" and holder.name else None
