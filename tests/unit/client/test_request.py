from __future__ import annotations

import json
from typing import Any, cast

import pytest
from lark_service_client import File, InvalidCall, Outcome
from lark_service_client.request import CallOptions, Request, Resend, request_of

from schemas.call import Call, FilePart, TenantKey

MESSAGES = "/open-apis/im/v1/messages"


def made(method: Any = "POST", path: str = MESSAGES, **options: Any) -> Request:
    given = cast(CallOptions, options)
    return request_of(method, path, given, app="default", lane="interactive")


def test_what_the_client_writes_is_read_by_the_contract_as_the_same_call() -> None:
    request = made(
        "POST",
        "/open-apis/im/v1/messages/:message_id/reply",
        path_params={"message_id": "om_1"},
        query={"page_size": 20, "types": ["a", "b"]},
        headers={"Accept-Language": "zh-CN"},
        body={"text": "你好", "n": 2**63},
        as_={"tenant": "t1"},
        retry="always",
    )

    call = Call.model_validate(json.loads(request.body))

    assert call == Call.model_validate(
        {
            "method": "POST",
            "path": "/open-apis/im/v1/messages/:message_id/reply",
            "path_params": {"message_id": "om_1"},
            "query": {"page_size": 20, "types": ["a", "b"]},
            "headers": {"Accept-Language": "zh-CN"},
            "body": {"text": "你好", "n": 2**63},
            "as": {"tenant": "t1"},
            "retry": "always",
        }
    )
    assert call.as_ == TenantKey(tenant="t1")


def test_files_travel_as_base64_with_their_names() -> None:
    request = made(
        path="/open-apis/im/v1/images",
        form={"image_type": "message"},
        files=[File("image", "图.png", b"\x89PNG\x00", "image/png")],
    )

    call = Call.model_validate(json.loads(request.body))

    assert call.form == {"image_type": "message"}
    assert call.files == [
        FilePart(
            field="image", filename="图.png", content_type="image/png", content_base64="iVBORwA="
        )
    ]
    assert call.files[0].content() == b"\x89PNG\x00"


def test_only_what_was_given_is_written() -> None:
    assert json.loads(made("GET").body) == {"method": "GET", "path": MESSAGES}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"method": "HEAD"}, "method"),
        ({"path": "/open-apis/im/../v1"}, "path"),
        ({"path_params": {"id": "1"}}, "path_params"),
        ({"query": {"a": None}}, "query"),
        ({"headers": {"Cookie": "x"}}, "headers"),
        ({"body": {"a": float("nan")}}, "body"),
        ({"body": {"a": object()}}, "body"),
        ({"body": {"a": "\ud800"}}, "surrogates"),
        ({"body": {}, "form": {"a": "b"}}, "body"),
        ({"as_": "me"}, "as"),
        ({"retry": "often"}, "retry"),
        ({"app": "No.Dots"}, "app"),
        ({"lane": "fast"}, "lane"),
        ({"call_id": "with space"}, "call_id"),
        ({"body": "x" * 17 * 1024 * 1024}, "bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_call_outside_the_rules_is_refused_by_name_and_not_sent(
    options: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidCall, match=named) as raised:
        made(**options)

    assert raised.value.outcome is Outcome.NOT_EXECUTED
    assert not raised.value.retryable
    assert raised.value.reply is None


def test_a_body_that_refers_to_itself_is_refused() -> None:
    body: list[Any] = []
    body.append(body)

    with pytest.raises(InvalidCall, match="body"):
        made(body=body)


def test_the_call_id_is_the_callers_or_a_new_one() -> None:
    assert made(call_id="order-4711").call_id == "order-4711"
    assert len({made().call_id for _ in range(3)}) == 3


def test_the_routing_key_is_app_and_lane() -> None:
    assert made().routing_key == "default.interactive"
    assert made(app="crm", lane="bulk").routing_key == "crm.bulk"


def test_only_the_trace_headers_given_are_sent() -> None:
    assert made().headers == {}
    assert made(traceparent="00-1-2-01", tracestate=None).headers == {"traceparent": "00-1-2-01"}


def test_the_deadline_is_told_in_both_ways_or_as_a_duration_only() -> None:
    def of(**more: Any) -> Request:
        options: CallOptions = {}
        return request_of("GET", MESSAGES, options, app="default", lane="bulk", **more)

    told = of(deadline=1_700_000_000.5)
    untold = of(deadline=1_700_000_000.5, tell_deadline=False)

    assert told.headers == {"lark-deadline": 1_700_000_000_500}
    assert untold.headers == {}
    assert untold.expiration(1_699_999_999) == told.expiration(1_699_999_999) == "1500"
    assert told.expiration(1_800_000_000) == "1", "an expiration of 0 is no expiration to a reader"
    assert told.expiration(0) == str(24 * 60 * 60 * 1000)
    assert of().expiration(0) is None


@pytest.mark.parametrize(
    ("method", "retry", "resent_under"),
    [
        ("GET", "safe", {"safe", "always"}),
        ("PUT", "safe", {"safe", "always"}),
        ("PATCH", "safe", {"safe", "always"}),
        ("DELETE", "safe", {"safe", "always"}),
        ("POST", "safe", {"always"}),
        ("POST", "always", {"safe", "always"}),
        ("POST", "never", set()),
        ("GET", "never", set()),
    ],
)
def test_what_may_be_resent_depends_on_what_a_second_execution_would_do(
    method: str, retry: str, resent_under: set[str]
) -> None:
    policies: tuple[Resend, ...] = ("safe", "always", "never")
    request = made(method, retry=retry)

    assert {policy for policy in policies if request.may_be_resent(policy)} == resent_under
