"""The official SDK takes the simulated Feishu for Feishu."""

import io
import json
from collections.abc import Iterator

import lark_oapi as lark
import pytest
import requests
from lark_oapi.api.auth.v3 import (
    InternalTenantAccessTokenRequest,
    InternalTenantAccessTokenRequestBody,
)
from lark_oapi.api.bitable.v1 import (
    AppTableRecord,
    CreateAppTableRecordRequest,
    ListAppTableRecordRequest,
)
from lark_oapi.api.contact.v3 import (
    BatchGetIdUserRequest,
    BatchGetIdUserRequestBody,
    GetUserRequest,
)
from lark_oapi.api.im.v1 import (
    CreateImageRequest,
    CreateImageRequestBody,
    CreateMessageRequest,
    CreateMessageRequestBody,
    GetImageRequest,
    ReplyMessageRequest,
    ReplyMessageRequestBody,
)

from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET
from tests.support.sandbox_process import sandbox_process

PIXELS = bytes(range(256)) * 100


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with sandbox_process() as (url, _):
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> lark.Client:
    builder = lark.Client.builder().app_id(DEFAULT_APP_ID).app_secret(DEFAULT_SECRET)
    return builder.domain(url).build()


def message(receive_id: str, uuid: str) -> CreateMessageRequest:
    body = (
        CreateMessageRequestBody.builder()
        .receive_id(receive_id)
        .msg_type("text")
        .content(json.dumps({"text": "hi"}))
        .uuid(uuid)
        .build()
    )
    return CreateMessageRequest.builder().receive_id_type("chat_id").request_body(body).build()


def test_the_sdk_gets_a_token(client: lark.Client) -> None:
    body = (
        InternalTenantAccessTokenRequestBody.builder()
        .app_id(DEFAULT_APP_ID)
        .app_secret(DEFAULT_SECRET)
        .build()
    )
    request = InternalTenantAccessTokenRequest.builder().request_body(body).build()
    response = client.auth.v3.tenant_access_token.internal(request)
    assert response.success(), response.msg
    answer = json.loads(response.raw.content)
    assert answer["tenant_access_token"].startswith("t-")
    assert 0 < answer["expire"] <= 7200


def test_the_sdk_sends_a_message_once_per_uuid(client: lark.Client) -> None:
    first = client.im.v1.message.create(message("oc_a", "key-1"))
    assert first.success(), first.msg
    assert first.data.chat_id == "oc_a"
    assert first.data.body.content == '{"text": "hi"}'
    again = client.im.v1.message.create(message("oc_a", "key-1"))
    assert again.data.message_id == first.data.message_id


def test_the_sdk_replies(client: lark.Client) -> None:
    parent = client.im.v1.message.create(message("oc_b", "key-2")).data.message_id
    body = ReplyMessageRequestBody.builder().msg_type("text").content('{"text":"re"}').build()
    request = ReplyMessageRequest.builder().message_id(parent).request_body(body).build()
    response = client.im.v1.message.reply(request)
    assert response.success(), response.msg
    assert response.data.parent_id == parent


def test_the_sdk_reads_a_failure(client: lark.Client) -> None:
    response = client.im.v1.message.create(message("sim_permission", "key-3"))
    assert not response.success()
    assert response.code == 99991672
    assert response.get_log_id()
    assert response.error["permission_violations"][0]["subject"] == "im:message"


def test_the_sdk_gets_a_user(client: lark.Client) -> None:
    request = GetUserRequest.builder().user_id("ou_a").user_id_type("open_id").build()
    response = client.contact.v3.user.get(request)
    assert response.success(), response.msg
    assert response.data.user.open_id == "ou_a"


def test_the_sdk_finds_a_user_by_mail(client: lark.Client) -> None:
    body = BatchGetIdUserRequestBody.builder().emails(["a@b.invalid"]).build()
    response = client.contact.v3.user.batch_get_id(
        BatchGetIdUserRequest.builder().user_id_type("open_id").request_body(body).build()
    )
    assert response.success(), response.msg
    assert response.data.user_list[0].user_id.startswith("ou_")


def test_the_sdk_uploads_and_downloads_an_image(client: lark.Client) -> None:
    body = CreateImageRequestBody.builder().image_type("message").image(io.BytesIO(PIXELS)).build()
    response = client.im.v1.image.create(CreateImageRequest.builder().request_body(body).build())
    assert response.success(), response.msg
    get = GetImageRequest.builder().image_key(response.data.image_key).build()
    download = client.im.v1.image.get(get)
    assert download.success(), download.msg
    assert download.file.read() == PIXELS
    assert download.file_name == response.data.image_key


def test_the_sdk_creates_and_lists_records(client: lark.Client) -> None:
    record = AppTableRecord.builder().fields({"name": "a"}).build()
    create = CreateAppTableRecordRequest.builder().app_token("bas1").table_id("tbl1")
    response = client.bitable.v1.app_table_record.create(create.request_body(record).build())
    assert response.success(), response.msg
    records = ListAppTableRecordRequest.builder().app_token("bas1").table_id("tbl1").build()
    listed = client.bitable.v1.app_table_record.list(records)
    assert [item.record_id for item in listed.data.items] == [response.data.record.record_id]


def test_the_sdk_asked_for_its_token_once_and_met_no_unknown_path(
    client: lark.Client, url: str
) -> None:
    requests.post(f"{url}/_sandbox/reset", timeout=5)
    for number in range(3):
        assert client.im.v1.message.create(message("oc_c", f"key-{number}")).success()
    stats = requests.get(f"{url}/_sandbox/stats", timeout=5).json()
    assert stats["token_requests"] == 0
    assert stats["statuses"] == {"200": 3}
