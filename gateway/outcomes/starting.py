"""Marks an N call as started where nobody who takes it over can miss the mark."""

from __future__ import annotations

from gateway.errors import NotNow
from schemas.reply import ErrorType

from .in_hand import Held
from .protocol import Claim
from .store import Begun, Store, StoreAway

_AGAIN_SECONDS = 1.0


async def mark_start(held: Held, claim: Claim, store: Store, arbiter: Store | None) -> bool:
    """Mark it in the store, or with the arbiter while the store is away; False: another has it.

    Raises NotNow where it can be marked nowhere.
    """
    question = claim.question
    # Only whose lease ended in between can have lost the call; then the store may not know it any
    # more, but the arbiter does.
    careful = arbiter is not None and store.may_have_lapsed(held.since)
    try:
        begun = await store.begin(question, claim.epoch, careful=careful)
        if begun is Begun.FORGOTTEN:
            if not await _with_arbiter(held, arbiter):
                return False
            begun = await store.begin(question, claim.epoch, careful=False)
    except StoreAway as away:
        # A redelivery that finds a claim without a mark would carry the call out once more; one
        # that finds nothing would not.
        return await _with_arbiter(held, arbiter, else_unmarked=not claim.written, cause=away)
    return begun is Begun.MARKED


async def _with_arbiter(
    held: Held,
    arbiter: Store | None,
    *,
    else_unmarked: bool = False,
    cause: StoreAway | None = None,
) -> bool:
    if arbiter is None:
        raise _nowhere() from cause
    held.in_arbiter = True
    try:
        return await arbiter.begin(held.question, "", careful=False) is Begun.MARKED
    except StoreAway as away:
        if else_unmarked:
            return True
        raise _nowhere() from away


def _nowhere() -> NotNow:
    return NotNow(
        ErrorType.STORE_UNAVAILABLE,
        "nowhere can be noted that the call is started, and it must not be sent twice: Redis and "
        "Postgres do not answer; publish it again when one of them does",
        retry_after=_AGAIN_SECONDS,
    )
