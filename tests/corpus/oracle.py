"""What is wrong with what became of a seed: one judgement for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from schemas import names
from schemas.reply import ErrorType
from tests.corpus.forms import FOREIGN
from tests.corpus.host import Received
from tests.corpus.seeds import Answered, Either, Refused, Seed, Sent
from tests.corpus.waves import Fate
from tests.support.amqp import Message

_KEYS = {"ok", "call_id", "response", "error", "meta"}
_OWN_HEADERS = {"host", "user-agent", "accept", "accept-encoding", "authorization"}
_BODY_HEADERS = {"content-type", "content-length", "transfer-encoding"}
_LONGEST_MESSAGE = 600
_ALWAYS_DEAD = {"malformed", "invalid_call", "forbidden", "unrouted", "outcome_unknown"}


def flaws(seed: Seed, fate: Fate, requests: Sequence[Received]) -> Iterator[str]:
    """Say each thing that the contract does not allow."""
    for kind, messages in (("replies", fate.replies), ("dead letters", fate.letters)):
        if len(messages) > 1:
            yield f"{len(messages)} {kind}"
    reply = parsed(fate.replies[0]) if fate.replies else None
    if reply is not None:
        yield from _reply_flaws(seed, fate.replies[0], reply)
    for letter in fate.letters:
        yield from _letter_flaws(seed, letter, reply)
    match seed.verdict:
        case Refused():
            yield from _refusal_flaws(seed.verdict, fate, reply, requests)
        case Sent():
            yield from _sent_flaws(seed.verdict, fate, reply, requests)
        case Either():
            yield from _either_flaws(seed.verdict, fate, reply, requests)
        case Answered():
            yield from _answered_flaws(seed, fate, reply, requests)


def parsed(message: Message) -> dict[str, Any]:
    """The body of a reply; Feishu's answer in it may be nested deeper than json reads."""
    return dict(orjson.loads(message.body))


def _call_id(seed: Seed) -> Any:
    headers = seed.properties.get("headers")
    given = seed.properties.get("message_id")
    if isinstance(headers, dict):
        given = headers.get(names.HEADER_CALL_ID, given)
    return given.decode("utf-8", "surrogateescape") if isinstance(given, bytes) else given


def _reply_flaws(seed: Seed, message: Message, reply: dict[str, Any]) -> Iterator[str]:
    if set(reply) != _KEYS or (reply["error"] is None) != reply["ok"]:
        yield f"a reply of {sorted(reply)}"
    given = _call_id(seed)
    if isinstance(seed.verdict, Sent) and given not in (None, reply["call_id"]):
        yield f"call id {reply['call_id']!r}"
    if FOREIGN in message.body:
        yield "an answer to nobody's request was passed on"
    if message.headers.get(names.HEADER_STATUS) != ("ok" if reply["ok"] else "error"):
        yield "its header says another status"
    given = seed.properties.get("correlation_id")
    if isinstance(given, bytes):
        given = given.decode("utf-8", "surrogateescape")
    # An empty one is none.
    if message.properties.correlation_id != (given or None):
        yield f"correlation id {message.properties.correlation_id!r}"
    if {*message.headers} - {names.HEADER_STATUS, names.HEADER_CALL_ID, *names.TRACE_HEADERS}:
        yield f"headers {sorted(message.headers)}"
    if reply["error"] is not None:
        yield from _error_flaws(reply["error"])


def _error_flaws(error: dict[str, Any]) -> Iterator[str]:
    kind = error["type"]
    if kind not in {*ErrorType} - {ErrorType.INTERNAL}:
        yield f"an error of type {kind!r}: {error['message']}"
    elif error["retryable"] is not ErrorType(kind).retryable:
        yield f"{kind} with retryable {error['retryable']}"
    if error["outcome"] not in ("not_executed", "executed", "unknown"):
        yield f"outcome {error['outcome']!r}"
    if not 0 < len(error["message"]) < _LONGEST_MESSAGE:
        yield f"a message of {len(error['message'])} characters"


def _letter_flaws(seed: Seed, letter: Message, reply: dict[str, Any] | None) -> Iterator[str]:
    if letter.body != seed.body:
        yield "its dead letter has another body"
    error = letter.dead_error
    yield from _error_flaws(error)
    if reply is not None and reply["error"] != error:
        yield f"reply and dead letter say different things: {reply['error']}, {error}"
    forbidden = {"CC", "BCC"} & {*letter.headers}
    if forbidden or any(name.startswith("x-") for name in letter.headers):
        yield f"its dead letter has headers {sorted(letter.headers)}"


def _refusal_flaws(
    verdict: Refused, fate: Fate, reply: dict[str, Any] | None, requests: Sequence[Received]
) -> Iterator[str]:
    if requests:
        yield f"{len(requests)} requests reached Feishu: {requests[0].target[:80]}"
    if (reply is not None) != verdict.answered:
        yield "no reply" if verdict.answered else "a reply where none may be sent"
    if bool(fate.letters) != (verdict.reason is not None):
        yield "no dead letter" if verdict.reason else "a dead letter"
    if fate.slow:
        yield f"it took {fate.seconds:.1f} s"
    if reply is not None and (reply["response"] is not None or reply["meta"]["attempts"]):
        yield f"refused, and yet {reply['meta']['attempts']} attempts"
    errors = [reply["error"]] if reply is not None else []
    for error in [*errors, *(letter.dead_error for letter in fate.letters)]:
        yield from _refused_as(verdict, error)
    for letter in fate.letters:
        if letter.headers[names.HEADER_DEAD_REASON] != verdict.reason:
            yield f"buried as {letter.headers[names.HEADER_DEAD_REASON]}"


def _refused_as(verdict: Refused, error: dict[str, Any] | None) -> Iterator[str]:
    if error is None:
        yield "it was carried out"
    elif (error["type"], error["outcome"]) != (verdict.type, "not_executed"):
        yield f"refused as {error['type']}, {error['outcome']}: {error['message']}"
    elif missing := [word for word in verdict.says if word not in error["message"]]:
        yield f"its message does not say {missing}: {error['message']!r}"


def _sent_flaws(
    verdict: Sent, fate: Fate, reply: dict[str, Any] | None, requests: Sequence[Received]
) -> Iterator[str]:
    if (reply is not None) != verdict.answered:
        yield "no reply" if verdict.answered else "a reply to nobody"
    if reply is not None and not reply["ok"]:
        yield f"refused as {reply['error']['type']}: {reply['error']['message']}"
    elif reply is not None and reply["meta"]["attempts"] != 1:
        yield f"{reply['meta']['attempts']} attempts"
    if fate.letters:
        yield "a dead letter"
    if len(requests) == 1:
        yield from _request_flaws(verdict, requests[0])
    else:
        yield f"{len(requests)} requests reached Feishu"


def _request_flaws(sent: Sent, request: Received) -> Iterator[str]:
    if (request.method, request.target) != (sent.method, sent.target):
        yield f"another request: {request.method} {request.target[:120]}"
    for name, value in sent.headers.items():
        if request.values(name.lower()) != [value]:
            yield f"{name}: {request.values(name.lower())}"
    given = {name.lower() for name, _ in request.headers}
    allowed = _OWN_HEADERS | {name.lower() for name in sent.headers}
    if request.body or request.method != "GET":
        allowed = allowed | _BODY_HEADERS
    if given - allowed or any(len(request.values(name)) != 1 for name in given):
        yield f"headers {sorted(name for name, _ in request.headers)}"
    if sent.document is not None:
        if _exact(request.body) != _exact(sent.document):
            yield f"another body: {request.body[:80]!r}"
    elif request.body and request.values("content-type")[0].partition(";")[0] != (
        "multipart/form-data"
    ):
        yield f"a body where there is none: {request.body[:80]!r}"
    yield from (f"its body holds no {part!r}" for part in sent.parts if part not in request.body)
    yield from (f"its body holds {part!r}" for part in sent.without if part in request.body)


def _exact(document: bytes) -> Any:
    """A JSON text with its integers as they are written and its names in order."""
    return json.loads(
        document, parse_int=lambda digits: ("integer", digits), object_pairs_hook=_pairs
    )


def _pairs(pairs: list[tuple[str, Any]]) -> Any:
    return list(dict(pairs).items())


def _either_flaws(
    verdict: Either, fate: Fate, reply: dict[str, Any] | None, requests: Sequence[Received]
) -> Iterator[str]:
    if reply is None:
        yield "no reply"
        return
    kind = None if reply["ok"] else reply["error"]["type"]
    if kind not in (None, *verdict.types):
        yield f"refused as {kind}: {reply['error']['message']}"
    if len(requests) != int(reply["ok"]):
        yield f"{len(requests)} requests reached Feishu"
    if bool(fate.letters) != (kind in _ALWAYS_DEAD):
        yield f"{len(fate.letters)} dead letters of {kind}"


def _answered_flaws(
    seed: Seed, fate: Fate, reply: dict[str, Any] | None, requests: Sequence[Received]
) -> Iterator[str]:
    assert isinstance(seed.verdict, Answered)
    form = seed.verdict.form
    if len(requests) not in ((1, 2) if form.limits else (1,)):
        yield f"{len(requests)} requests reached Feishu"
    if fate.letters:
        yield "a dead letter"
    if reply is None:
        yield "no reply"
        return
    kind = "ok" if reply["ok"] else reply["error"]["type"]
    if kind not in form.ends:
        said = reply["error"]["message"][:80] if reply["error"] else reply["response"]
        yield f"answered as {kind}: {str(said)[:200]}"
    if kind in ("bad_response", "timeout", "feishu_unavailable"):
        outcome = reply["error"]["outcome"]
        if outcome != "unknown":
            yield f"{kind} with outcome {outcome}"
    document = (reply["response"] or {}).get("body")
    data = document.get("data") if isinstance(document, dict) else None
    if isinstance(data, dict) and data.get("echo", seed.mark) != seed.mark:
        yield f"the answer to {data['echo']}"
