"""One call of each class of API, as a producer writes it."""

from __future__ import annotations

from typing import Any

READ = "/open-apis/contact/v3/users/:user_id"
CHANGE = "/open-apis/im/v1/chats/:chat_id"
SEND = "/open-apis/im/v1/messages"
INVITE = "/open-apis/im/v1/chats/:chat_id/members"


def read(user: str = "ou_1", **fields: Any) -> dict[str, Any]:
    """Class R: repeating it only reads again."""
    return {"method": "GET", "path": READ, "path_params": {"user_id": user}, **fields}


def change(chat: str = "oc_1", **fields: Any) -> dict[str, Any]:
    """Class I: repeating it changes nothing more."""
    body = {"name": "renamed"}
    return {
        "method": "PUT",
        "path": CHANGE,
        "path_params": {"chat_id": chat},
        "body": body,
        **fields,
    }


def send(chat: str = "oc_1", *, uuid: str | None = None, **fields: Any) -> dict[str, Any]:
    """Class K: Feishu discards repeats by `uuid`."""
    body = {"receive_id": chat, "msg_type": "text", "content": '{"text":"hi"}'}
    return {
        "method": "POST",
        "path": SEND,
        "query": {"receive_id_type": "chat_id"},
        "body": body if uuid is None else body | {"uuid": uuid},
        **fields,
    }


def invite(chat: str = "oc_1", **fields: Any) -> dict[str, Any]:
    """Class N: repeating it may do it twice."""
    return {
        "method": "POST",
        "path": INVITE,
        "path_params": {"chat_id": chat},
        "body": {"id_list": ["ou_1"]},
        **fields,
    }
