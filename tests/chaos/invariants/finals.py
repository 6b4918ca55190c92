"""I1 and I2: every confirmed call ends, and all that is said of its end agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.calls import Call
from tests.chaos.findings import Case, Finding, Invariant
from tests.chaos.invariants.stores import Memory
from tests.chaos.ledger import Book, Line, Story

UNKNOWN: Final = "outcome_unknown"
EXPIRED: Final = "deadline_exceeded"

ADMITTED: Final = {
    "rate_limited": ({"not_executed"}, True),
    "circuit_open": ({"not_executed"}, True),
    EXPIRED: ({"not_executed"}, True),
    "store_unavailable": ({"not_executed"}, True),
    "feishu_unavailable": ({"not_executed", "unknown"}, True),
    "timeout": ({"unknown"}, True),
    "bad_response": ({"unknown"}, False),
    UNKNOWN: ({"unknown"}, False),
}
"""How a correct call may fail while anything breaks: outcomes, and whether it may be repeated."""

_LETTERS_WITHOUT_REPLY: Final = (UNKNOWN, "expired", "failed")
_AT_ONCE_SECONDS: Final = 2.0
"""Within it an end may be told before the record of another one is seen."""


def lost(case: Case) -> Iterator[Finding]:
    """Confirmed, and no end was told where somebody listened."""
    gone: dict[str, float] = {}
    for line in case.record[Book.ADDRESSES]:
        if line["kind"] == "lost":
            gone[line["address"]] = line["at"]
    moved = {call_id for line in case.record[Book.REST] for call_id in line["dead_letters"]}
    for call_id, story in case.stories.items():
        if story.letters and case.record[Book.REST] and call_id not in moved:
            yield Finding(Invariant.LOST, call_id, "its dead letter is in no table")
        if not story.confirmed or story.replies or story.letters:
            continue
        if any(_heard(line, gone) for line in story.confirmed):
            if Call.parse(call_id).reply == "none" and any(map(_succeeded, story.requests)):
                continue
            yield Finding(Invariant.LOST, call_id, "confirmed, and neither answered nor dead")


def finals(case: Case) -> Iterator[Finding]:
    """Ends that no correct call may have, and ends of one call that do not go together."""
    memory = Memory(case)
    for call_id, story in case.stories.items():
        if not story.attempts:
            yield Finding(Invariant.FINAL, call_id, "an end or a request of a call nobody made")
            continue
        call = Call.parse(call_id)
        for what in (*_wrong_replies(call, story), *_wrong_letters(call, story)):
            yield Finding(Invariant.FINAL, call_id, what)
        if call.klass in ("K", "N"):
            for what in _conflicts(call, story, may_lack=memory.may_lack(story)):
                yield Finding(Invariant.FINAL, call_id, what)


def _heard(confirmed: Line, gone: dict[str, float]) -> bool:
    address = confirmed["address"]
    return address is None or gone.get(address, 0.0) < confirmed["at"]


def _succeeded(request: Line) -> bool:
    return 200 <= request["status"] < 300 and request["code"] == 0


def _wrong_replies(call: Call, story: Story) -> Iterator[str]:
    for line in story.replies:
        body = line["body"]
        if body["ok"] != (body["error"] is None):
            yield "a reply is ok and tells an error, or neither"
        elif not body["ok"] and (what := _inadmissible(call, body["error"])):
            yield what
    if call.reply == "none" and story.replies and len(story.attempts) == 1:
        yield "a reply that nobody asked for"


def _inadmissible(call: Call, error: dict[str, Any]) -> str:
    kind = error["type"]
    if kind not in ADMITTED:
        return f"it ended as {kind}: {error['message']}"
    outcomes, retryable = ADMITTED[kind]
    if error["outcome"] not in outcomes or error["retryable"] is not retryable:
        return f"{kind} with outcome {error['outcome']}, retryable {error['retryable']}"
    if (kind == UNKNOWN) != (call.klass == "N" and error["outcome"] == "unknown"):
        return f"{kind} with outcome {error['outcome']} of a call of class {call.klass}"
    return ""


def _wrong_letters(call: Call, story: Story) -> Iterator[str]:
    answered_unknown = any(_kind(line) == UNKNOWN for line in story.replies)
    reasons = {line["reason"] for line in story.letters}
    if answered_unknown and UNKNOWN not in reasons:
        yield f"answered {UNKNOWN}, and there is no dead letter"
    asked = {attempt["address"] is not None for attempt in story.attempts}
    admitted = set(_LETTERS_WITHOUT_REPLY) if False in asked else {UNKNOWN}
    for line in story.letters:
        reason, error = line["reason"], line["error"]
        if reason not in admitted:
            yield f"a dead letter with the reason {reason}"
        elif what := _inadmissible(call, error):
            yield f"a dead letter: {what}"
        elif not _agree(reason, error["type"]):
            yield f"a dead letter with the reason {reason} and the error {error['type']}"


def _agree(reason: str, kind: str) -> bool:
    if reason == "failed":
        return kind not in (UNKNOWN, EXPIRED)
    return kind == {"expired": EXPIRED}.get(reason, reason)


def _conflicts(call: Call, story: Story, *, may_lack: bool) -> Iterator[str]:
    """A recorded end is the only one from then on; `may_lack`: unless its record was lost."""
    settled = [line for line in story.replies if _is_recorded(call, line)]
    again = may_lack or call.klass == "K"
    successes = {_content(line, again=again) for line in settled if line["body"]["ok"]}
    if len(successes) > 1:
        yield f"{len(successes)} different answers: {' / '.join(sorted(successes))}"
    if may_lack:
        return
    unknown = {line["reason"] for line in story.letters} | {_kind(line) for line in settled}
    if successes and UNKNOWN in unknown:
        yield f"answered ok, and ended as {UNKNOWN}"
    first = min((line["at"] for line in settled), default=float("inf"))
    for line in story.replies:
        late = line["at"] - first
        if line not in settled and late > (_AT_ONCE_SECONDS if _kind(line) == EXPIRED else 0):
            yield f"answered {_kind(line)} {late:.1f} s after its recorded end"


def _is_recorded(call: Call, line: Line) -> bool:
    body = line["body"]
    if body["ok"]:
        return True
    outcome = body["error"]["outcome"]
    return outcome == "executed" or (call.klass == "N" and outcome == "unknown")


def _content(line: Line, *, again: bool) -> str:
    response = line["body"]["response"]
    if again:
        # Made again, by its key or after its record was lost, it gets the same answer under another
        # log id.
        response = {name: response[name] for name in ("status", "body")}
    return json.dumps(response, sort_keys=True)


def _kind(line: Line) -> str:
    error = line["body"]["error"]
    return "ok" if error is None else str(error["type"])
