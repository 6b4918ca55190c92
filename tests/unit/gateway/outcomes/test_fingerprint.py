import json
from typing import Any

import pytest

from gateway.outcomes.fingerprint import fingerprint
from schemas.call import Call

_CALL: dict[str, Any] = {
    "method": "POST",
    "path": "/open-apis/im/v1/chats/:chat/members",
    "path_params": {"chat": "oc_1"},
    "query": {"member_id_type": "open_id", "n": 1},
    "headers": {"Accept-Language": "zh"},
    "body": {"ids": ["a", "b"], "deep": {"x": 1, "y": None}},
    "as": {"user": "u1"},
}


def of(**changes: Any) -> bytes:
    return fingerprint(Call.model_validate(_CALL | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"retry": "always"},
        {"retry": "never"},
        {"query": {"n": 1, "member_id_type": "open_id"}},
        {"body": {"deep": {"y": None, "x": 1}, "ids": ["a", "b"]}},
        {"headers": {"accept-language": "zh"}},
    ],
    ids=["always", "never", "query order", "body order", "header case"],
)
def test_what_asks_the_same_of_feishu_has_one_fingerprint(changes: dict[str, Any]) -> None:
    assert of(**changes) == of()


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PUT"},
        {"path": "/open-apis/im/v1/chats/:chat/managers"},
        {"path_params": {"chat": "oc_2"}},
        {"query": {"member_id_type": "open_id", "n": 2}},
        {"query": {"member_id_type": "open_id", "n": "1"}},
        {"headers": {}},
        {"body": {"ids": ["b", "a"], "deep": {"x": 1, "y": None}}},
        {"body": None},
        {"body": None, "form": {"a": "b"}},
        {"as": "tenant"},
        {"as": {"tenant": "u1"}},
    ],
    ids=lambda changes: json.dumps(changes)[:40],
)
def test_what_asks_something_else_has_another(changes: dict[str, Any]) -> None:
    assert of(**changes) != of()


def test_a_default_that_is_written_out_reads_like_one_that_is_left_out() -> None:
    bare = {"method": "POST", "path": "/open-apis/im/v1/messages"}
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in Call.model_fields.items()
        if not field.is_required()
    }
    for name, default in defaults.items():
        written = bare | {"as" if name == "as_" else name: default}
        assert fingerprint(Call.model_validate(written)) == fingerprint(Call.model_validate(bare))
