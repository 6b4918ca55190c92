"""Everything the simulated Feishu knows, and how it decides on a request."""

from __future__ import annotations

import random
from collections.abc import Mapping

from schemas.apis import Api, ApiTable

from .admission import Admission
from .answers import Answer, success
from .bitable import Bitable
from .cards import Cards
from .contacts import Contacts
from .faults import NO_FAULT, Fault, Script
from .files import Files
from .ledger import Ledger
from .magic import Magic
from .messages import Messages
from .network import Network
from .oauth import OAuth
from .options import Options
from .repeats import Behaviour, Repeats
from .request import ApiRequest
from .tickets import Tickets
from .token_endpoints import TokenEndpoints
from .tokens import Tokens

UNCATALOGUED = "/open-apis/sim/"
_NOTHING = Answer(b"")
_PATHS_KEPT = 10_000


class World:
    """The state behind one server; nothing in it waits."""

    def __init__(self, options: Options, table: ApiTable) -> None:
        self.options = options
        self.clock = options.clock
        self.latency_ms = options.latency_ms
        self.jitter_ms = options.jitter_ms
        self.network = Network()
        self.tokens = Tokens(
            options.apps,
            life=options.token_life,
            renew_below=options.renew_below,
            check_kind=options.check_token_kind,
            clock=options.clock,
        )
        self.tickets = Tickets(options.clock)
        self._token_endpoints = TokenEndpoints(self.tokens, self.tickets)
        self.oauth = OAuth(self.tokens, clock=options.clock)
        self.admission = Admission(options)
        self.limits = self.admission.limits
        self.subjects = self.admission.subjects
        self.ledger = Ledger(options.ledger_size)
        self.script = Script()
        self.magic = Magic()
        self.repeats = Repeats(window=options.key_window, clock=options.clock)
        self.files = Files()
        self.messages = Messages(self.files, self.subjects, clock=options.clock)
        self.bitable = Bitable()
        self.cards = Cards()
        self._behaviours: Mapping[str, Behaviour] = {
            **self.messages.behaviours(),
            **self.files.behaviours(),
            **self.bitable.behaviours(),
            **self.cards.behaviours(),
            **Contacts().behaviours(),
        }
        self._guarded: dict[str, Behaviour] = {}
        self._table = table
        self._paths: dict[tuple[str, str], Api | None] = {}

    @property
    def behaviours(self) -> Mapping[str, Behaviour]:
        """The APIs that do something, by name."""
        return self._behaviours

    def find(self, method: str, path: str) -> Api | None:
        """The API of a path, None where Feishu has none."""
        key = (method, path)
        if key not in self._paths:
            if len(self._paths) >= _PATHS_KEPT:
                self._paths.clear()
            self._paths[key] = self._find(method, path)
        return self._paths[key]

    def _find(self, method: str, path: str) -> Api | None:
        if "/:" in path:
            return None  # the table would take an unfilled template for a path
        if path.startswith(UNCATALOGUED):
            return Api(method, path, reads=method == "GET")
        if self.oauth.knows(f"{method} {path}"):
            return Api(method, path)
        return self._table.match(method, path)

    def identify(self, request: ApiRequest) -> None:
        """Say whose request it is, as far as it claims."""
        if self._token_endpoints.knows(request.api.name):
            self._token_endpoints.identify(request)
        elif self.oauth.knows(request.api.name):
            self.oauth.identify(request)
        else:
            named = self.tokens.identify(request.authorization)
            request.app_id, request.tenant, request.token = named

    def decide(self, request: ApiRequest) -> tuple[Answer, Fault]:
        """Act on a request and say what to answer and what befalls the answer."""
        fault = self.script.next(request)
        if fault is None:
            return self._answer(request)
        if not fault.acts:
            return fault.answer or _NOTHING, fault
        answer, _ = self._answer(request)
        return fault.answer or answer, fault

    def finish(self, request: ApiRequest) -> None:
        """Say that a request is over, answered or not."""
        self.repeats.finish(request)
        self.oauth.finish(request)

    def delay(self) -> float:
        """How long the next request is worked on, in seconds; its way here and back not counted."""
        if not self.latency_ms and not self.jitter_ms:
            return 0.0
        return max(0.0, self.latency_ms + random.uniform(-1, 1) * self.jitter_ms) / 1000

    def reset(self, *, tokens: bool) -> None:
        """Forget what happened; configuration stays, tokens too unless asked."""
        for part in (
            *(self.ledger, self.admission, self.magic, self.repeats, self.files),
            *(self.messages, self.bitable, self.cards, self.oauth),
        ):
            part.clear()
        self.script.rules.clear()
        self.tokens.issued = 0
        if tokens:
            self.tokens.revoke()

    def reset_statistics(self) -> None:
        """Count anew what is only told; limits, effects and ledger entries stay as they are."""
        self.ledger.clear_counts()
        self.admission.clear_statistics()
        self.oauth.clear()
        self.tokens.issued = 0

    def _answer(self, request: ApiRequest) -> tuple[Answer, Fault]:
        if self._token_endpoints.knows(request.api.name):
            return self._token_endpoints.answer(request), NO_FAULT
        if self.oauth.knows(request.api.name):
            return self.oauth.answer(request), NO_FAULT
        token = self.tokens.check(request.authorization, request.api)
        if isinstance(token, Answer):
            return token, NO_FAULT
        request.user = token.user
        fault = self.magic.fault(request) or NO_FAULT
        if fault.revokes:
            self.tokens.revoke(value=token.value)
        if not fault.acts:
            return fault.answer or _NOTHING, fault
        if refusal := self.admission.refusal(request):
            return refusal, NO_FAULT
        answer = self._act(request)
        return fault.answer or answer, fault

    def _act(self, request: ApiRequest) -> Answer:
        behaviour = self._guarded.get(request.api.name)
        if behaviour is None:
            behaviour = self._behaviours.get(request.api.name, _succeed)
            behaviour = self.admission.guard(request.api, behaviour)
            self._guarded[request.api.name] = behaviour
        answer, acted = self.repeats.perform(request, behaviour)
        if acted and answer.succeeded and not request.api.reads:
            self.ledger.effects[request.key or request.body_hash or request.path] += 1
        return answer


def _succeed(_: ApiRequest) -> Answer:
    return success()
