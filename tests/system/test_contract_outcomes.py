"""How a call ends by what Feishu answers, and how often it is sent, by its class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.feishu import SandboxFeishu
from sandbox.feishu.faults import Rule
from schemas import names
from tests.support.calls import change, invite, read, send
from tests.support.gateway import api_requests
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer

Build = Callable[..., dict[str, Any]]

FINAL = {
    "sim_permission": ("permission_denied", "not_executed", 99991672),
    "sim_ip_denied": ("ip_denied", "not_executed", 99991401),
    "sim_app_disabled": ("app_unavailable", "not_executed", 99991662),
    "sim_code_99991673": ("app_unavailable", "not_executed", 99991673),
    "sim_code_12345": ("feishu_error", "executed", 12345),
    "sim_code_10003": ("feishu_error", "executed", 10003),
    "sim_code_99992402": ("feishu_error", "executed", 99992402),
    "sim_status_400_230001": ("feishu_error", "executed", 230001),
    "sim_status_403_12345": ("feishu_error", "executed", 12345),
    "sim_status_418_12345": ("feishu_error", "executed", 12345),
}
UNUSABLE = ["sim_redirect", "sim_malformed_json", "sim_huge"]
MAY_HAVE_BEEN_EXECUTED = {
    "sim_500": "feishu_unavailable",
    "sim_502_html": "feishu_unavailable",
    "sim_504": "feishu_unavailable",
    "sim_cut": "feishu_unavailable",
    "sim_cut_before": "feishu_unavailable",
    "sim_truncated": "feishu_unavailable",
    "sim_status_500_12345": "feishu_unavailable",
    "sim_code_1500": "feishu_unavailable",
    "sim_hang": "timeout",
    "sim_redirect": "bad_response",
    "sim_malformed_json": "bad_response",
    "sim_huge": "bad_response",
}
CLASSES = [pytest.param(build, id=build.__name__) for build in (read, change, send, invite)]


@pytest.fixture(scope="module")
def gateway_environment(gateway_environment: dict[str, str]) -> dict[str, str]:
    return gateway_environment | {"API_TIMEOUT": "1"}


@pytest.mark.parametrize("build", CLASSES)
@pytest.mark.parametrize("magic", FINAL)
async def test_a_final_answer_is_passed_on_after_one_request(
    magic: str, build: Build, producer: Producer, simulated: SandboxFeishu
) -> None:
    type_, outcome, code = FINAL[magic]
    place = unique(magic)
    reply = await producer.call(build(place))
    assert_error(reply, type_, outcome, retryable=False)
    assert reply.error["code"] == reply.json["response"]["body"]["code"] == code
    assert reply.json["meta"]["attempts"] == 1
    assert len(requests_of(simulated, place)) == 1
    assert not producer.letters_of(reply)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 414, 415])
@pytest.mark.parametrize("build", [read, invite])
async def test_a_refusal_without_an_envelope_was_not_executed(
    build: Build, status: int, producer: Producer, simulated: SandboxFeishu
) -> None:
    fault = {"status": status, "body": "no", "content_type": "text/plain", "count": 1}
    simulated.world.script.rules.append(Rule.parse(fault))
    reply = await producer.call(build())
    assert_error(reply, "feishu_error", "not_executed", retryable=False)
    assert "code" not in reply.error
    assert reply.json["response"]["status"] == status
    assert reply.json["meta"]["attempts"] == 1
    assert not simulated.world.script.rules


async def test_a_path_that_feishu_does_not_know_is_a_feishu_error(producer: Producer) -> None:
    reply = await producer.call({"method": "POST", "path": "/open-apis/no/such/api"})
    assert_error(reply, "feishu_error", "not_executed", retryable=False)
    assert reply.json["response"]["status"] == 404


@pytest.mark.parametrize("status", [402, 408, 410, 418, 451, 500, 503])
@pytest.mark.parametrize(
    ("build", "type_"), [(read, "feishu_unavailable"), (invite, "outcome_unknown")]
)
async def test_any_other_failure_without_an_envelope_counts_like_a_5xx(
    build: Build, type_: str, status: int, producer: Producer, simulated: SandboxFeishu
) -> None:
    fault = {"status": status, "body": "no", "content_type": "text/plain", "count": 1}
    simulated.world.script.rules.append(Rule.parse(fault))
    reply = await producer.call(build(retry="never"))
    assert_error(reply, type_, "unknown", retryable=type_ == "feishu_unavailable")
    assert reply.json["response"]["status"] == status


@pytest.mark.parametrize("build", [read, change, send])
@pytest.mark.parametrize("magic", UNUSABLE)
async def test_an_unusable_answer_is_final_at_once(
    magic: str, build: Build, producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique(magic)
    reply = await producer.call(build(place))
    assert_error(reply, "bad_response", "unknown", retryable=False)
    assert reply.json["meta"]["attempts"] == 1
    assert reply.json["response"]["status"] == (302 if magic == "sim_redirect" else 200)
    assert len(requests_of(simulated, place)) == 1
    assert not [e for e in api_requests(simulated) if e["path"].endswith("/sim/redirected")]


@pytest.mark.parametrize("magic", MAY_HAVE_BEEN_EXECUTED)
async def test_an_n_call_that_may_have_been_executed_ends_after_one_request(
    magic: str, producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique(magic)
    reply = await producer.call(invite(place))
    assert_error(reply, "outcome_unknown", "unknown", retryable=False)
    assert reply.json["meta"]["attempts"] == 1
    assert len(requests_of(simulated, place)) == 1
    letter = await producer.letter_of(reply.properties.correlation_id)
    assert letter.headers[names.HEADER_DEAD_REASON] == "outcome_unknown"
    assert letter.headers[names.HEADER_ATTEMPTS] == 1
    assert letter.dead_error == reply.error


@pytest.mark.parametrize("magic", MAY_HAVE_BEEN_EXECUTED)
async def test_retry_never_allows_one_request(
    magic: str, producer: Producer, simulated: SandboxFeishu
) -> None:
    place, type_ = unique(magic), MAY_HAVE_BEEN_EXECUTED[magic]
    reply = await producer.call(read(place, retry="never"))
    assert_error(reply, type_, "unknown", retryable=type_ != "bad_response")
    assert reply.json["meta"]["attempts"] == 1
    assert len(requests_of(simulated, place)) == 1
    assert not producer.letters_of(reply)


async def test_a_user_without_a_grant_must_authorize(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    before = simulated.world.ledger.last_number
    reply = await producer.call({**read(), "as": {"user": "ou_nobody"}})
    assert_error(reply, "reauth_required", "not_executed", retryable=False)
    assert reply.json["meta"]["attempts"] == 0
    assert simulated.world.ledger.last_number == before
    assert not producer.letters_of(reply)


async def test_a_call_without_a_token_is_refused_by_feishu(producer: Producer) -> None:
    reply = await producer.call({**read(), "as": "none"})
    assert reply.error["type"] == "feishu_error"
    assert reply.error["code"] == 99991661
