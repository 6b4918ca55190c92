"""Which producer may call what, as last read. Pure."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from schemas.call import Call, UserKey
from schemas.reply import ErrorType, Outcome

from .dimensions import Dimensions
from .errors import Refused
from .producer_grant_rows import Grant

_SHOWN: Final = 200
"""Characters of an API's name in a sentence: a path of the producer's own may be any."""


class ProducerGrants:
    """The grants of all producers; while there is none at all, everybody may call everything."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._grants: Mapping[tuple[str, str], tuple[Grant, ...]] = {}

    def replace(self, grants: Iterable[Grant]) -> None:
        """Take these for all that there are."""
        found: dict[tuple[str, str], tuple[Grant, ...]] = {}
        for grant in grants:
            key = (grant.producer, grant.alias)
            found[key] = (*found.get(key, ()), grant)
        self._grants = found

    def check(self, producer: str | None, alias: str, call: Call, *, sent: bool) -> None:
        """Raise Refused where the producer has no grant for the call of this app or pool.

        *producer* is whom the broker vouches for. Where the call may have been *sent* before, by an
        earlier attempt or before a crash, that is said: `forbidden` promises that it was not.
        """
        if not self._grants:
            return
        reason = self._reason(producer, alias, call)
        if reason is None:
            return
        if sent:
            raise Refused(
                ErrorType.OUTCOME_UNKNOWN,
                f"the call may have been made before, and then: {reason}",
                outcome=Outcome.UNKNOWN,
                hint="find out with a read before it is sent again",
            )
        raise Refused(ErrorType.FORBIDDEN, reason)

    def _reason(self, producer: str | None, alias: str, call: Call) -> str | None:
        if producer is None:
            return (
                "the message has no user_id, which is required since grants are configured: set "
                "the property to the RabbitMQ user that publishes"
            )
        granted = self._grants.get((producer, alias), ())
        as_user = isinstance(call.as_, UserKey)
        allowed = [grant for grant in granted if grant.user_tokens or not as_user]
        if self._all_granted(allowed, call):
            return None
        route = self._dimensions.catalogue.route(call.method, call.filled_path())
        api = (route.name if route.known else f"{call.method} {call.path}")[:_SHOWN]
        words = ["lark-service", "producer", "grant", producer, "--app", alias, "--api", api]
        if as_user:
            words.append("--user-tokens")
        in_name = " in the name of a user" if as_user else ""
        return (
            f"the RabbitMQ user {producer!r} may not call {api} of {alias!r}{in_name}; "
            f"an operator allows it with: {shlex.join(words)}"
        )

    def _all_granted(self, grants: list[Grant], call: Call) -> bool:
        path = call.filled_path()
        # What a server would make of it that decodes first: a parameter may hold `x/../y`.
        decoded = posixpath.normpath(unquote(path))
        return (
            self._granted(grants, call.method, path)
            and (decoded == path or self._granted(grants, call.method, decoded))
            and self._granted_in_any_case(grants, call.method, decoded)
        )

    def _granted(self, grants: list[Grant], method: str, path: str) -> bool:
        route = self._dimensions.catalogue.route(method, path)
        return any(grant.apis.hold(method, path, route) for grant in grants)

    def _granted_in_any_case(self, grants: list[Grant], method: str, path: str) -> bool:
        """Whether, if Feishu reads `chats/Search` as `chats/search`, that is granted as well."""
        lower = path.lower()
        if lower == path or not self._dimensions.catalogue.route(method, lower).known:
            return True
        return self._granted(grants, method, lower)
