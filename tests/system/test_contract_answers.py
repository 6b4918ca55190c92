"""Feishu's answers of every kind, and the forms that are sent to it."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from sandbox.feishu import SandboxFeishu
from sandbox.feishu.faults import Rule
from schemas import names
from tests.support.calls import read
from tests.support.producer import Producer


async def test_a_download_comes_as_base64_with_its_type(producer: Producer) -> None:
    content = bytes(range(256)) * 10
    upload = {
        "method": "POST",
        "path": "/open-apis/im/v1/images",
        "form": {"image_type": "message"},
        "files": [
            {
                "field": "image",
                "filename": '图 "1".png',
                "content_type": "image/png",
                "content_base64": base64.b64encode(content).decode(),
            }
        ],
    }
    uploaded = await producer.call(upload)
    key = uploaded.json["response"]["body"]["data"]["image_key"]
    path = f"/open-apis/im/v1/images/{key}"
    document = (await producer.call({"method": "GET", "path": path})).json
    assert document["ok"] is True
    assert document["error"] is None
    response = document["response"]
    assert response["body"] is None
    assert response["content_type"] == "image/png"
    assert base64.b64decode(response["body_base64"]) == content
    assert "filename" in response["headers"]["content-disposition"]


async def test_parts_of_a_form_are_named_as_the_producer_named_them(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    part = {"content_type": "text/plain; charset=utf-8", "content_base64": "YQ=="}
    call = {
        "method": "POST",
        "path": "/open-apis/im/v1/files",
        "form": {"file_type": "stream", "file_name": "a\r\nb", "名 [1]": "ü", "odd\r\nX: y": "z"},
        "files": [{"field": "file", "filename": '名 "a".txt', **part}],
    }
    before = simulated.world.ledger.last_number
    assert (await producer.call(call)).json["ok"]
    (request,) = [c for c in simulated.world.ledger.captures if c.number > before]
    body = request.body.decode()
    assert 'form-data; name="名 [1]"\r\n\r\nü\r\n' in body
    assert 'form-data; name="file_name"\r\n\r\na\r\nb\r\n' in body
    assert 'form-data; name="odd%0D%0AX: y"\r\n\r\nz\r\n' in body
    assert 'form-data; name="file"; filename="名 \\"a\\".txt"\r\n\r\na\r\n' in body


@pytest.mark.parametrize(
    ("status", "body", "content_type", "ok"),
    [
        pytest.param(200, "<h1>hi</h1>", "text/html", True, id="a page"),
        pytest.param(200, "", "text/plain", True, id="nothing"),
        pytest.param(201, "[1, 2]", "application/json", True, id="JSON that is no object"),
        pytest.param(200, '{"a": 1}', "application/json", True, id="JSON without a code"),
        pytest.param(400, '{"code": 0}', "application/json", True, id="code 0 with HTTP 400"),
        pytest.param(200, '{"code": 1}', "application/json", False, id="code 1 with HTTP 200"),
        pytest.param(404, "404 page not found", "text/plain", False, id="plain 404"),
        pytest.param(400, '{"a": 1}', "application/json", False, id="HTTP 400 without a code"),
    ],
)
async def test_what_counts_as_a_success(
    status: int,
    body: str,
    content_type: str,
    ok: bool,
    producer: Producer,
    simulated: SandboxFeishu,
) -> None:
    fault = {"status": status, "body": body, "content_type": content_type}
    simulated.world.script.rules.append(Rule.parse(fault))
    document = (await producer.call(read())).json
    assert document["ok"] is ok
    assert (document["error"] is None) is ok
    response = document["response"]
    assert response["status"] == status
    if "json" in content_type:
        assert response["body"] == json.loads(body)
        assert "body_base64" not in response
    else:
        assert response["body"] is None
        assert base64.b64decode(response["body_base64"]).decode() == body
        assert response["content_type"].startswith(content_type)


async def test_an_answer_of_10_mib_is_passed_on_whole(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    body = '{"code":0,"x":"' + "x" * (names.MAX_RESPONSE_BYTES - 17) + '"}'
    assert len(body) == names.MAX_RESPONSE_BYTES
    simulated.world.script.rules.append(Rule.parse({"status": 200, "body": body}))
    response = (await producer.call(read(), within=30)).json["response"]
    assert hashlib.sha256(
        json.dumps(response["body"], separators=(",", ":")).encode()
    ).digest() == (hashlib.sha256(body.encode()).digest())
