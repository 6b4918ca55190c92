"""What `lark-service call --dry-run` says would be sent."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cli.call.preview import REDACTED, Preview, preview_of
from gateway.catalogue import derive_key
from gateway.site_limits import SiteLimits
from schemas.apis import Window
from schemas.call import Call

SEND = {
    "method": "POST",
    "path": "/open-apis/im/v1/messages",
    "query": {"receive_id_type": "chat_id"},
    "body": {"receive_id": "oc_1"},
}


def preview(limits: Any = None, **fields: Any) -> Preview:
    return preview_of(
        Call.model_validate(fields),
        alias="default",
        call_id="order-1",
        domain="https://open.feishu.cn",
        limits=SiteLimits(limits or {}),
    )


def test_it_is_the_request_with_the_token_left_out() -> None:
    shown = preview(**SEND).as_json()

    assert shown["method"] == "POST"
    assert shown["url"] == (
        "https://open.feishu.cn/open-apis/im/v1/messages?receive_id_type=chat_id"
    )
    assert shown["headers"] == {
        "Authorization": REDACTED,
        "Content-Type": "application/json; charset=utf-8",
    }


def test_the_derived_key_is_the_one_that_every_attempt_will_carry() -> None:
    shown = preview(**SEND).as_json()

    key = derive_key("default", "order-1")
    assert shown["class"] == "K"
    assert shown["idempotency_key"] == {"body.uuid": key}
    assert f'"uuid":"{key}"' in shown["body"]


def test_a_key_of_the_producer_is_shown_as_it_is() -> None:
    shown = preview(**SEND | {"body": {"receive_id": "oc_1", "uuid": "mine"}}).as_json()

    assert shown["idempotency_key"] == {"body.uuid": "mine"}


@pytest.mark.parametrize(
    ("method", "path", "klass"),
    [
        ("GET", "/open-apis/im/v1/chats", "R"),
        ("DELETE", "/open-apis/im/v1/messages/om_1", "I"),
        ("POST", "/open-apis/drive/v1/files/create_folder", "N"),
    ],
)
def test_other_classes_have_no_key(method: str, path: str, klass: str) -> None:
    shown = preview(method=method, path=path).as_json()

    assert (shown["class"], shown["idempotency_key"]) == (klass, None)


def test_no_token_no_header() -> None:
    fields: dict[str, Any] = {"method": "GET", "path": "/open-apis/im/v1/chats", "as": "none"}

    assert preview(**fields).headers == {}


@pytest.mark.parametrize("identity", [{"user": "ou_1"}, {"tenant": "t1"}])
def test_a_token_that_only_a_gateway_may_know_changes_no_byte(identity: dict[str, str]) -> None:
    assert preview(**SEND | {"as": identity}).as_json() == preview(**SEND).as_json()


def test_files_are_named_and_counted() -> None:
    part = {"field": "image", "filename": "a.png", "content_type": "image/png"}
    fields: dict[str, Any] = {"form": {"image_type": "message"}}
    fields["files"] = [part | {"content_base64": "AAEC"}]

    shown = preview(method="POST", path="/open-apis/im/v1/images", **fields).as_json()

    assert shown["body"] is None
    assert shown["form"] == {"image_type": "message"}
    assert shown["files"] == [part | {"bytes": 3}]
    assert shown["headers"]["Content-Type"].startswith("multipart/form-data; boundary=")


@pytest.mark.parametrize(
    ("path", "limits", "source"),
    [
        ("/open-apis/im/v1/chats", ["1000/60", "50/1"], "Feishu's documentation"),
        ("/open-apis/new/v9/things", ["5/1"], "a cautious default, because .* does not list"),
    ],
)
def test_limits_say_where_they_are_from(path: str, limits: list[str], source: str) -> None:
    shown = preview(method="GET", path=path).as_json()

    assert shown["limits"] == limits
    assert re.match(source, shown["limits_from"])


def test_a_limit_of_the_site_is_named_as_such() -> None:
    own = {"GET /open-apis/im/v1/chats": (Window(7, 1),)}

    shown = preview(own, method="GET", path="/open-apis/im/v1/chats").as_json()

    assert shown["limits"] == ["7/1"]
    assert shown["limits_from"] == "LARK_SERVICE_LIMITS_FILE, [limits]"
