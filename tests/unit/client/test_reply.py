from __future__ import annotations

from typing import Any

import pytest
from lark_service_client import Reply


def answered(**response: Any) -> Reply:
    return Reply.model_validate(
        {
            "ok": True,
            "call_id": "c1",
            "response": {"status": 200, "headers": {}, **response} if response else None,
            "error": None,
            "meta": {"attempts": 1, "duplicate": False, "a_later_field": 1},
        }
    )


@pytest.mark.parametrize(
    ("reply", "data"),
    [
        (answered(body={"code": 0, "data": {"a": 1}}), {"a": 1}),
        (answered(body={"code": 0}), None),
        (answered(body=[1, 2]), None),
        (answered(body_base64="AAE=", content_type="image/png"), None),
        (answered(), None),
    ],
    ids=["envelope", "envelope without data", "no envelope", "download", "no answer"],
)
def test_data_is_that_of_feishus_envelope(reply: Reply, data: Any) -> None:
    assert reply.data == data


def test_content_is_the_bytes_of_a_download() -> None:
    assert answered(body_base64="AAE=", content_type="image/png").content == b"\x00\x01"
    assert answered(body={}).content == b""


def test_a_reply_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        answered().ok = False  # type: ignore[misc]
