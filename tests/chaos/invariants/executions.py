"""I3 to I6 and I8: what reached Feishu, how often, for whom, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.calls import Call
from tests.chaos.findings import Case, Finding, Invariant
from tests.chaos.invariants.stores import Memory
from tests.chaos.ledger import Book, Line, Story

REFUSED_CODES: Final = frozenset(
    {99991400, 11232, 99991661, 99991663, 99991664, 99991668, 99991671, 99991677}
)
"""Of limits and of tokens: an answer with one of them proves that nothing was done."""

_CLOCKS_SECONDS: Final = 2.0
_NUMBER_DIGITS: Final = 12


def may_have_acted(request: Line) -> bool:
    """Whether Feishu may have carried out a request; also when no answer left."""
    refused = request["status"] in (401, 429) or request["code"] in REFUSED_CODES
    return not refused


def sent_twice(case: Case) -> Iterator[Finding]:
    """I3: requests of N calls that may have acted."""
    memory = Memory(case)
    for call, story in _calls(case):
        if call.klass != "N":
            continue
        acted = [line for line in story.requests if may_have_acted(line)]
        # What is published again after its record is gone is another call.
        if len(acted) > (len(story.attempts) if memory.may_lack(story) else 1):
            told = ", ".join(f"{line['time']:.3f} ({line['status']})" for line in acted)
            yield Finding(Invariant.N_TWICE, call.id, f"requests at {told}")


def effective_twice(case: Case) -> Iterator[Finding]:
    """I4: a K call has one key, and takes effect once by it."""
    effects: dict[str, int] = {}
    for line in case.record[Book.REST]:
        effects |= line["effects"]
    for call, story in _calls(case):
        if call.klass != "K":
            continue
        keys = {line["key"] for line in story.requests}
        if len(keys) > 1 or "" in keys:
            yield Finding(Invariant.K_TWICE, call.id, f"keys {sorted(keys)}")
        elif (count := sum(effects.get(key, 0) for key in keys)) > 1:
            yield Finding(Invariant.K_TWICE, call.id, f"took effect {count} times")


def untrue(case: Case) -> Iterator[Finding]:
    """I5: ok means that Feishu did it and said so; not executed means that it did not."""
    for call, story in _calls(case):
        numbers = {line["number"]: line for line in story.requests}
        for line in story.replies:
            body = line["body"]
            if body["ok"]:
                yield from _untrue_success(call, body, numbers)
            elif call.klass == "N" and len(story.attempts) == 1:
                yield from _untrue_failure(call, body["error"], line["at"], story)


def crossed(case: Case) -> Iterator[Finding]:
    """I6: no call gets another's token, body, answer or correlation id."""
    for call, story in _calls(case):
        for line in story.requests:
            app_id = line["app_id"]
            if app_id and app_id != call.app_id:
                yield Finding(Invariant.CROSSED, call.id, f"sent with the token of {app_id}")
            if line["body_hash"] != call.body_hash:
                yield Finding(Invariant.CROSSED, call.id, "sent with another body than its own")
        for line in story.replies:
            if line["body"]["call_id"] != call.id:
                what = f"answered with the reply of {line['body']['call_id']}"
                yield Finding(Invariant.CROSSED, call.id, what)
    known = {call_id for call_id, story in case.stories.items() if story.attempts}
    for line in case.record[Book.REPLIES]:
        if line["correlation_id"] not in known:
            what = "a reply with a correlation id that no call has"
            yield Finding(Invariant.CROSSED, str(line["correlation_id"]), what)


def late(case: Case) -> Iterator[Finding]:
    """I8: no request starts after the deadline."""
    bunched = [line for line in case.record[Book.FAULTS] if line.get("bunches")]
    for call, story in _calls(case):
        for line in story.requests:
            after = line["time"] - story.deadline
            if after > _CLOCKS_SECONDS and not _was_held(bunched, line["time"]):
                yield Finding(
                    Invariant.LATE, call.id, f"a request {after:.1f} s after its deadline"
                )


def _calls(case: Case) -> Iterator[tuple[Call, Story]]:
    for call_id, story in case.stories.items():
        if story.attempts:
            yield Call.parse(call_id), story


def _untrue_success(
    call: Call, body: dict[str, Any], numbers: dict[int, Line]
) -> Iterator[Finding]:
    log_id = str(body["response"]["headers"].get("x-tt-logid", ""))
    request = numbers.get(int(log_id[-_NUMBER_DIGITS:], 16)) if log_id else None
    if request is None:
        yield Finding(Invariant.UNTRUE, call.id, f"ok by {log_id!r}, which is no request of it")
    elif not (200 <= request["status"] < 300 and request["code"] == 0):
        what = f"ok, but Feishu answered {request['status']} with code {request['code']}"
        yield Finding(Invariant.UNTRUE, call.id, what)
    if not call.is_answered_by(body["response"]["body"]):
        yield Finding(Invariant.UNTRUE, call.id, f"ok with {body['response']['body']}")


def _untrue_failure(
    call: Call, error: dict[str, Any], at: float, story: Story
) -> Iterator[Finding]:
    acted = [line for line in story.requests if may_have_acted(line) and line["time"] < at]
    if acted and error["outcome"] == "not_executed":
        yield Finding(Invariant.UNTRUE, call.id, f"{error['type']}, not executed, but it was sent")


def _was_held(bunched: list[Line], at: float) -> bool:
    """Whether the harness itself kept requests back until about then."""
    return any(
        line["kind"] == "ended" and line["at"] - 1 <= at <= line["at"] + 5 for line in bunched
    )
