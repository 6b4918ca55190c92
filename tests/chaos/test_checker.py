"""A ledger in which all is well says nothing; every promise broken in it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.calls import APPS, CLASSES, Call
from tests.chaos.checker import check
from tests.chaos.findings import Invariant
from tests.chaos.ledger import Book, Ledger, Line, Record

Books = dict[Book, list[Line]]
CALLS = {klass: Call("run", 7, number, klass) for number, klass in enumerate(CLASSES, 1)}
SILENT = Call("run", 7, 9, "N", reply="none")
BEGAN = 1_000_000.0


def good() -> Books:
    """One call of each class, answered; one without a reply address, carried out."""
    books: Books = {book: [] for book in Book}
    for call in (*CALLS.values(), SILENT):
        address = None if call.reply == "none" else "durable-1"
        attempt = {"at": BEGAN, "id": call.id, "address": address, "deadline": BEGAN + 60}
        books[Book.CALLS].append(attempt | {"kind": "attempted"})
        books[Book.CALLS].append(attempt | {"kind": "confirmed", "at": BEGAN + 0.1})
        books[Book.REQUESTS].append(request(call, call.number))
        if address:
            books[Book.REPLIES].append(reply(call, ok(call, call.number)))
    key = f"key of {CALLS['K'].id}"
    rest = {"queues": {"lark.dead": 0}, "effects": {key: 1}, "oauth": {}, "fds": {"0": 40}}
    books[Book.REST].append({"at": BEGAN + 99, "dead_letters": [], **rest})
    return books


def request(call: Call, number: int, **fields: Any) -> Line:
    """A request for a call, answered with success."""
    method, path = call.api.split(" ")
    for name, value in call.body["path_params"].items():
        path = path.replace(f":{name}", value)
    line = {"at": BEGAN + 1, "time": BEGAN + 1, "number": number, "method": method, "path": path}
    line |= {"template": call.api.split(" ")[1], "app_id": call.app_id, "token": "t"}
    line |= {"body_hash": call.body_hash, "key": f"key of {call.id}" if call.klass == "K" else ""}
    return line | {"status": 200, "code": 0} | fields


def reply(call: Call, body: dict[str, Any], **fields: Any) -> Line:
    """A reply to a call."""
    line = {"at": BEGAN + 2, "address": "durable-1", "correlation_id": call.id, "headers": {}}
    return line | {"type": "lark.reply.v1", "body": body} | fields


def ok(call: Call, number: int) -> dict[str, Any]:
    """A success, by the request of that number."""
    data: dict[str, Any] = {}
    if call.klass == "R":
        data = {"user": {"open_id": f"ou_{call.id}"}}
    elif call.klass == "K":
        data = {"record": {"record_id": "rec1", "fields": {"id": call.id}}}
    headers = {"x-tt-logid": f"20261124000000ABCDEF{number:012X}"}
    body = {"code": 0, "msg": "success", "data": data}
    response = {"status": 200, "headers": headers, "body": body}
    meta = {"attempts": 1, "duplicate": False}
    return {"ok": True, "call_id": call.id, "response": response, "error": None, "meta": meta}


def failed(call: Call, kind: str, outcome: str, *, retryable: bool) -> dict[str, Any]:
    """An error."""
    error = {"type": kind, "message": "…", "retryable": retryable, "outcome": outcome}
    meta = {"attempts": 1, "duplicate": False}
    return {"ok": False, "call_id": call.id, "response": None, "error": error, "meta": meta}


def letter(call: Call, reason: str, kind: str, outcome: str = "unknown") -> Line:
    """A dead letter."""
    retryable = kind not in ("outcome_unknown", "bad_response", "internal")
    error = failed(call, kind, outcome, retryable=retryable)["error"]
    return {"at": BEGAN + 3, "call_id": call.id, "reason": reason, "error": error}


def found(books: Books) -> set[Invariant]:
    """What the checker says."""
    return {finding.invariant for finding in check(Record.of(books))}


def answered(books: Books, call: Call, *bodies: dict[str, Any]) -> None:
    """Have a call answered with these instead."""
    kept = [line for line in books[Book.REPLIES] if line["correlation_id"] != call.id]
    replies = [reply(call, body, at=BEGAN + 2 + n) for n, body in enumerate(bodies)]
    books[Book.REPLIES] = kept + replies


def dead(books: Books, line: Line) -> None:
    """Add a dead letter, and its row."""
    books[Book.LETTERS].append(line)
    books[Book.REST][0]["dead_letters"].append(line["call_id"])


def test_a_good_ledger_is_good() -> None:
    assert found(good()) == set()


def _unanswered(books: Books) -> None:
    answered(books, CALLS["R"])


def _silent_and_not_done(books: Books) -> None:
    books[Book.REQUESTS] = [line for line in books[Book.REQUESTS] if line["number"] != 9]


def _dead_and_in_no_table(books: Books) -> None:
    books[Book.LETTERS].append(letter(SILENT, "outcome_unknown", "outcome_unknown"))


def _internal(books: Books) -> None:
    answered(books, CALLS["R"], failed(CALLS["R"], "internal", "unknown", retryable=False))


def _retryable_unknown(books: Books) -> None:
    body = failed(CALLS["N"], "outcome_unknown", "unknown", retryable=True)
    answered(books, CALLS["N"], body)
    dead(books, letter(CALLS["N"], "outcome_unknown", "outcome_unknown"))


def _timeout_of_n(books: Books) -> None:
    answered(books, CALLS["N"], failed(CALLS["N"], "timeout", "unknown", retryable=True))


def _unknown_of_k(books: Books) -> None:
    body = failed(CALLS["K"], "outcome_unknown", "unknown", retryable=False)
    answered(books, CALLS["K"], body)


def _unknown_without_letter(books: Books) -> None:
    body = failed(CALLS["N"], "outcome_unknown", "unknown", retryable=False)
    answered(books, CALLS["N"], body)


def _ok_and_dead(books: Books) -> None:
    dead(books, letter(CALLS["N"], "outcome_unknown", "outcome_unknown"))


def _answered_and_dead(books: Books) -> None:
    dead(books, letter(CALLS["R"], "expired", "deadline_exceeded", "not_executed"))


def _reason_and_error_differ(books: Books) -> None:
    dead(books, letter(SILENT, "expired", "timeout"))


def _two_answers(books: Books) -> None:
    other = ok(CALLS["K"], CALLS["K"].number)
    other["response"]["body"]["data"]["record"]["record_id"] = "rec2"
    answered(books, CALLS["K"], ok(CALLS["K"], CALLS["K"].number), other)


def _two_ends_of_n(books: Books) -> None:
    unknown = failed(CALLS["N"], "outcome_unknown", "unknown", retryable=False)
    answered(books, CALLS["N"], ok(CALLS["N"], CALLS["N"].number), unknown)
    dead(books, letter(CALLS["N"], "outcome_unknown", "outcome_unknown"))


def _refused_after_its_record(books: Books) -> None:
    refused = failed(CALLS["K"], "rate_limited", "not_executed", retryable=True)
    answered(books, CALLS["K"], ok(CALLS["K"], CALLS["K"].number), refused)


def _nobodys_call(books: Books) -> None:
    books[Book.REQUESTS].append(request(Call("run", 7, 99, "R"), 99))


def _n_twice(books: Books) -> None:
    books[Book.REQUESTS].append(request(CALLS["N"], 20, status=0))


def _k_with_two_keys(books: Books) -> None:
    books[Book.REQUESTS].append(request(CALLS["K"], 20, key="another"))


def _k_without_key(books: Books) -> None:
    books[Book.REQUESTS].append(request(CALLS["K"], 20, key=""))


def _k_effective_twice(books: Books) -> None:
    books[Book.REST][0]["effects"] = {f"key of {CALLS['K'].id}": 2}


def _ok_without_request(books: Books) -> None:
    answered(books, CALLS["I"], ok(CALLS["I"], 77))


def _ok_by_a_failure(books: Books) -> None:
    books[Book.REQUESTS].append(request(CALLS["I"], CALLS["I"].number, status=500, code=2200))


def _ok_with_another_body(books: Books) -> None:
    body = ok(CALLS["R"], CALLS["R"].number)
    body["response"]["body"]["data"]["user"]["open_id"] = "ou_somebody"
    answered(books, CALLS["R"], body)


def _not_executed_but_sent(books: Books) -> None:
    body = failed(CALLS["N"], "rate_limited", "not_executed", retryable=True)
    answered(books, CALLS["N"], body)


def _another_apps_token(books: Books) -> None:
    books[Book.REQUESTS].append(request(CALLS["R"], 20, app_id=APPS["second"]))


def _another_body(books: Books) -> None:
    books[Book.REQUESTS].append(request(CALLS["K"], 20, body_hash="0" * 16))


def _another_calls_answer(books: Books) -> None:
    answered(books, CALLS["R"], ok(CALLS["R"], 1) | {"call_id": CALLS["K"].id})


def _another_correlation_id(books: Books) -> None:
    books[Book.REPLIES].append(reply(Call("run", 7, 99, "R"), ok(CALLS["R"], 1)))


def _late(books: Books) -> None:
    books[Book.REQUESTS].append(request(CALLS["R"], 20, time=BEGAN + 63))


def _too_many(books: Books) -> None:
    calls = [Call("run", 7, 100 + number, "I") for number in range(32)]
    for call in calls:
        answered(books, call, ok(call, call.number))
        attempt = {"at": BEGAN, "id": call.id, "address": "durable-1", "deadline": BEGAN + 60}
        books[Book.CALLS].append(attempt | {"kind": "attempted"})
    books[Book.REQUESTS] += [request(call, call.number) for call in calls]


def _token_storm(books: Books) -> None:
    path = "/open-apis/auth/v3/tenant_access_token/internal"
    for number in range(51):
        line = request(CALLS["R"], 200 + number, path=path, template=path)
        books[Book.REQUESTS].append(line)


def _spent_grant(books: Books) -> None:
    books[Book.REST][0]["oauth"] = {"spent_used": 1}


def _secret(books: Books) -> None:
    books[Book.SIGHTINGS].append({"kind": "secret", "where": "gateway-0.log", "what": "a token"})


def _left_in_a_queue(books: Books) -> None:
    books[Book.REST][0]["queues"]["lark.calls.default.bulk"] = 1


def _open_files(books: Books) -> None:
    books[Book.REST][0]["fds"]["0"] = 1000


def _traceback(books: Books) -> None:
    books[Book.SIGHTINGS].append({"kind": "trouble", "where": "gateway-0.log", "what": "…"})


def _ended_by_itself(books: Books) -> None:
    ended = {"kind": "ended", "slot": 0, "pid": 9, "code": 1, "asked": False}
    books[Book.PROCESSES].append(ended)


def _slow_recovery(books: Books) -> None:
    attempt = {"at": BEGAN + 90, "id": CALLS["R"].id, "address": None, "deadline": BEGAN + 60}
    books[Book.CALLS].append(attempt | {"kind": "attempted"})
    fault = {"fault": "kill", "target": "0", "bunches": False}
    books[Book.FAULTS].append(fault | {"at": BEGAN + 10, "kind": "began"})
    books[Book.FAULTS].append(fault | {"at": BEGAN + 11, "kind": "ended"})


@pytest.mark.parametrize(
    ("spoil", "invariant"),
    [
        (_unanswered, Invariant.LOST),
        (_silent_and_not_done, Invariant.LOST),
        (_dead_and_in_no_table, Invariant.LOST),
        (_internal, Invariant.FINAL),
        (_retryable_unknown, Invariant.FINAL),
        (_timeout_of_n, Invariant.FINAL),
        (_unknown_of_k, Invariant.FINAL),
        (_unknown_without_letter, Invariant.FINAL),
        (_ok_and_dead, Invariant.FINAL),
        (_answered_and_dead, Invariant.FINAL),
        (_reason_and_error_differ, Invariant.FINAL),
        (_two_answers, Invariant.FINAL),
        (_two_ends_of_n, Invariant.FINAL),
        (_refused_after_its_record, Invariant.FINAL),
        (_nobodys_call, Invariant.FINAL),
        (_n_twice, Invariant.N_TWICE),
        (_k_with_two_keys, Invariant.K_TWICE),
        (_k_without_key, Invariant.K_TWICE),
        (_k_effective_twice, Invariant.K_TWICE),
        (_ok_without_request, Invariant.UNTRUE),
        (_ok_by_a_failure, Invariant.UNTRUE),
        (_ok_with_another_body, Invariant.UNTRUE),
        (_not_executed_but_sent, Invariant.UNTRUE),
        (_another_apps_token, Invariant.CROSSED),
        (_another_body, Invariant.CROSSED),
        (_another_calls_answer, Invariant.CROSSED),
        (_another_correlation_id, Invariant.CROSSED),
        (_late, Invariant.LATE),
        (_too_many, Invariant.LIMIT),
        (_token_storm, Invariant.REFRESH),
        (_spent_grant, Invariant.REFRESH),
        (_secret, Invariant.SECRET),
        (_left_in_a_queue, Invariant.REMAINS),
        (_open_files, Invariant.REMAINS),
        (_traceback, Invariant.TROUBLE),
        (_ended_by_itself, Invariant.TROUBLE),
        (_slow_recovery, Invariant.RECOVERY),
    ],
)
def test_what_is_broken_is_found(spoil: Callable[[Books], None], invariant: Invariant) -> None:
    books = good()
    spoil(books)
    assert invariant in found(books)


def test_what_the_contract_admits_is_no_finding() -> None:
    books = good()
    kinds = ("circuit_open", "rate_limited", "deadline_exceeded")
    for call, kind in zip((CALLS["R"], CALLS["I"], CALLS["K"]), kinds, strict=True):
        refused = failed(call, kind, "not_executed", retryable=True)
        answered(books, call, refused, ok(call, call.number))
    unknown = failed(CALLS["N"], "outcome_unknown", "unknown", retryable=False)
    answered(books, CALLS["N"], unknown, unknown)
    dead(books, letter(CALLS["N"], "outcome_unknown", "outcome_unknown"))
    # What a limit or a token refused was not carried out, so that it may be sent again.
    refused_by_limit = request(CALLS["N"], 3, status=400, code=99991400)
    books[Book.REQUESTS].insert(0, refused_by_limit)
    assert found(books) == set()


def test_a_lost_address_may_have_lost_its_replies() -> None:
    books = good()
    _unanswered(books)
    books[Book.ADDRESSES].append({"at": BEGAN + 1, "address": "durable-1", "kind": "lost"})
    assert found(books) == set()


def test_an_emptied_redis_may_have_forgotten_an_end_but_postgres_has_not() -> None:
    books = good()
    _two_ends_of_n(books)
    _refused_after_its_record(books)
    fault = {"fault": "redis emptied", "target": "all", "bunches": False}
    books[Book.FAULTS].append(fault | {"at": BEGAN + 1, "kind": "began"})
    books[Book.FAULTS].append(fault | {"at": BEGAN + 1, "kind": "ended"})
    assert found(books) == set()
    books[Book.REST][0]["outcomes"] = "postgres"
    assert found(books) == {Invariant.FINAL}


def test_a_redis_that_forgets_excuses_no_call_that_was_published_once_and_sent_twice() -> None:
    books = good()
    _n_twice(books)
    fault = {"fault": "redis emptied", "target": "all", "bunches": False}
    books[Book.FAULTS].append(fault | {"at": BEGAN + 1, "kind": "began"})
    books[Book.FAULTS].append(fault | {"at": BEGAN + 1, "kind": "ended"})
    assert found(books) == {Invariant.N_TWICE}


def test_requests_that_were_held_back_may_arrive_together() -> None:
    books = good()
    _too_many(books)
    fault = {"fault": "held", "target": "feishu 0", "bunches": True}
    books[Book.FAULTS].append(fault | {"at": BEGAN, "kind": "began"})
    books[Book.FAULTS].append(fault | {"at": BEGAN + 1, "kind": "ended"})
    assert Invariant.LIMIT not in found(books)


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for book, lines in good().items():
        for line in lines:
            ledger.write(book, **line)
    ledger.write(Book.REQUESTS, **request(CALLS["R"], 1, status=0))
    ledger.write(Book.REQUESTS, **request(CALLS["R"], 1))
    ledger.close()
    with (tmp_path / "replies.jsonl").open("ab") as file:
        file.write(json.dumps({"broken": "off"}).encode())
    record = Record.read(tmp_path)
    assert check(record) == []
    assert sum(line["number"] == 1 for line in record[Book.REQUESTS]) == 1
