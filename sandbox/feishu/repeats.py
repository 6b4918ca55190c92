"""What becomes of a request that carries the idempotency key of an earlier one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .answers import Answer, failure
from .request import ApiRequest

Behaviour = Callable[[ApiRequest], Answer]


class Rule(NamedTuple):
    """The refusals of one family of APIs; `mismatch` None: nobody looks at path and body."""

    prefix: str
    in_flight: Answer
    mismatch: Answer | None


RULES = (
    Rule(
        "/open-apis/cardkit/",
        failure(400, 200770, "uuid conflict"),
        failure(400, 200770, "uuid conflict"),
    ),
    Rule(
        "/open-apis/bitable/",
        failure(403, 1254608, "Same API requests are submitted repeatedly."),
        failure(400, 1255006, "client token conflict"),
    ),
    Rule(
        "/open-apis/contact/",
        failure(400, 40021, "client token conflict"),
        failure(400, 40021, "client token conflict"),
    ),
    Rule("/open-apis/task/", failure(500, 1470422, "request is being processed"), None),
    Rule("/open-apis/", failure(400, 230049, "The message is being sent."), None),
)


@dataclass(slots=True)
class _Success:
    at: float
    path: str
    body_hash: str
    answer: Answer
    by: int
    in_flight: bool = True


class Repeats:
    """Remembers successes by app, API and key for `window` seconds; failures free the key."""

    def __init__(self, *, window: float = 3600, clock: Callable[[], float]) -> None:
        self.window = window
        self._clock = clock
        self._successes: dict[tuple[str, str, str], _Success] = {}
        self._ages: deque[tuple[float, tuple[str, str, str]]] = deque()

    def perform(self, request: ApiRequest, behaviour: Behaviour) -> tuple[Answer, bool]:
        """Act once per key; the second value says whether this request acted.

        A success stays in flight until `finish` is called for the same request.
        """
        key = request.key
        if not key:
            return behaviour(request), True
        now = self._clock()
        self._forget(now)
        slot = (request.app_id, request.api.name, key)
        earlier = self._successes.get(slot)
        if earlier is not None:
            return self._repeat(request, earlier), False
        answer = behaviour(request)
        if answer.succeeded:
            self._successes[slot] = _Success(
                now, request.path, request.body_hash, answer, request.number
            )
            self._ages.append((now, slot))
        return answer, True

    def finish(self, request: ApiRequest) -> None:
        """Say that the request was answered or its connection lost."""
        if key := request.key:
            success = self._successes.get((request.app_id, request.api.name, key))
            if success is not None and success.by == request.number:
                success.in_flight = False

    @property
    def in_flight(self) -> int:
        """How many keyed requests have acted and are not over."""
        return sum(success.in_flight for success in self._successes.values())

    def clear(self) -> None:
        self._successes.clear()
        self._ages.clear()

    def _repeat(self, request: ApiRequest, earlier: _Success) -> Answer:
        rule = next(rule for rule in RULES if request.path.startswith(rule.prefix))
        if earlier.in_flight:
            return rule.in_flight
        same = (earlier.path, earlier.body_hash) == (request.path, request.body_hash)
        if rule.mismatch is not None and not same:
            return rule.mismatch
        return earlier.answer

    def _forget(self, now: float) -> None:
        while self._ages and self._ages[0][0] + self.window <= now:
            _, slot = self._ages.popleft()
            del self._successes[slot]
