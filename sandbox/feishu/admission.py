"""Whether a request is taken: the quota, the API's limit, and what it acts upon."""

from __future__ import annotations

from schemas.apis import Api

from . import documented
from .answers import Answer
from .api_limits import Limits, Quota
from .limits import read_windows
from .options import Options
from .repeats import Behaviour
from .request import ApiRequest
from .series import Refusals, Refused
from .subjects import Subjects


class Admission:
    """All limits of one world, and their rejections."""

    def __init__(self, options: Options) -> None:
        self.limits = Limits(
            enabled=options.limits,
            model=options.window_model,
            overrides={name: read_windows(text) for name, text in options.overrides.items()},
            statuses=options.statuses,
        )
        self.quota = Quota()
        self.refusals = Refusals()
        self.subjects = Subjects(
            self.limits, self.refusals, receiver_limit=options.chat_limit, clock=options.clock
        )
        self._clock = options.clock

    def refusal(self, request: ApiRequest) -> Answer | None:
        """Why a request is not taken from its app, None when it is and counts."""
        now, kind = self._clock(), "quota"
        answer = self.quota.refusal(request.account, request.path)
        if answer is None:
            rejection = self.limits.admit(request.app_id, request.api, now, request.tenant)
            if rejection is None:
                self.quota.count(request.account, request.path)
                return None
            kind, answer = "api", self.limits.answer(request.api, rejection)
        number, app_id, name = request.number, request.app_id, request.api.name
        self.refusals.add(Refused(now, number, app_id, name, kind, "", answer.code))
        return answer

    def guard(self, api: Api, behaviour: Behaviour) -> Behaviour:
        """The behaviour of an API behind the limits of the table, document or drive it writes to.

        Receivers are no matter of this: only the behaviour itself knows them.
        """
        kind = documented.subject_kind(api)
        if not kind:
            return behaviour

        def act(request: ApiRequest) -> Answer:
            key = _subject_key(kind, request)
            if refusal := self.subjects.refusal(request, kind, key):
                return refusal
            answer = behaviour(request)
            if answer.succeeded:
                self.subjects.hold(request, kind, key)
            return answer

        return act

    def clear(self) -> None:
        """Forget what was counted; configuration stays."""
        for part in (self.limits, self.quota, self.refusals, self.subjects):
            part.clear()

    def clear_statistics(self) -> None:
        """Forget what is told, not what fills windows, places and the quota."""
        for part in (self.limits, self.subjects):
            part.clear_statistics()
        self.refusals.clear()


def _subject_key(kind: str, request: ApiRequest) -> str:
    if kind == "table":
        return f"{request.param('app_token')}/{request.param('table_id')}"
    return request.account if kind == "drive" else request.param("document_id")
