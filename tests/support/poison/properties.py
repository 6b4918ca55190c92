"""Good bodies in messages whose properties, headers or routing keys break a rule."""

from __future__ import annotations

import struct
import time
from typing import Any

from tests.support.poison.kinds import CALL, Poison

FORMS = [
    *(
        Poison(
            f"content_type {value!r}", says=("content_type",), properties={"content_type": value}
        )
        for value in [
            "text/plain",
            "",
            "text/json",
            "application/json-patch+json",
            "application/jsonx",
            "application/x-json",
            "application/octet-stream",
            "json",
            "; charset=utf-8",
            "multipart/form-data; boundary=x",
        ]
    ),
    *(
        Poison(
            f"content_encoding {value!r}",
            says=("content_encoding",),
            properties={"content_encoding": value},
        )
        for value in ["gzip", "", "UTF-8", "utf8", "Identity", "base64", "utf-8, gzip"]
    ),
    *(
        Poison(f"type {value!r}", says=("type", "lark.call.v1"), properties={"type": value})
        for value in ["lark.call.v2", "", "LARK.CALL.V1", "lark.call", "lark.reply.v1"]
    ),
]

_BAD_IDS = ["", " ", "a b", "a/b", "x" * 129, "订单-1", "a\nb", "a\0b", 'a"b', "a#b", "id\n"]
CALL_IDS = [
    *(
        Poison(
            f"message_id {value[:8]!r}", says=("call id", "128"), properties={"message_id": value}
        )
        for value in _BAD_IDS
    ),
    *(
        Poison(
            f"lark-call-id {str(value)[:8]!r}",
            says=("call id", "128"),
            properties={"headers": {"lark-call-id": value}},
        )
        for value in [*_BAD_IDS, 1, True, None, 1.5, ["a"], {"a": 1}, bytearray(b"a")]
    ),
]

DEADLINES = [
    Poison(
        f"lark-deadline {value!r}",
        says=("lark-deadline",),
        properties={"headers": {"lark-deadline": value}},
    )
    for value in [
        -1,
        -(2**63),
        "-1",
        "+1",
        "",
        "soon",
        " 1",
        "1 ",
        "1.5",
        "1e13",
        "0x10",
        "\uff11\uff17",
        "1\n",
        1.5,
        True,
        None,
        [1],
        {"ms": 1},
        bytearray(b"1"),
    ]
]
DEADLINES.append(
    Poison(
        "lark-deadline that is a timestamp",
        says=("lark-deadline",),
        properties={
            "headers": b"\x0dlark-deadlineT" + struct.pack(">Q", int(time.time()) + 60),
        },
    )
)


def _forbidden(name: str, headers: dict[str, Any], *says: str) -> Poison:
    return Poison(
        name, says=says, type="forbidden", reason="forbidden", properties={"headers": headers}
    )


COPIES = [
    _forbidden("CC", {"CC": ["default.nowhere"]}, "CC"),
    _forbidden("CC of nothing", {"CC": []}, "CC"),
]


def _unrouted(key: str, body: Any = CALL, **properties: Any) -> Poison:
    return Poison(
        f"routing key {key[:24]!r}",
        body,
        ("routing key",),
        type="unrouted",
        reason="unrouted",
        routing_key=key,
        properties=properties,
    )


UNROUTED = [
    _unrouted(key)
    for key in [
        "",
        ".",
        "default",
        "default.",
        "default.urgent",
        "default.retry",
        "default.Interactive",
        "default.interactive2",
        "default..interactive",
        "Default.interactive",
        "nobody.interactive",
        "nobody.bulk.and.more",
        "interactive.default",
        "nobody.\udcff",
        "*.interactive",
        "#",
        "x" * 255,
    ]
]

REPLY_ADDRESSES = [
    "orders",
    "lark.dead",
    "lark.unrouted",
    "lark.calls.default.interactive",
    "lark.reply",
    "lark.reply.",
    "lark.replyx",
    "Lark.reply.x",
    "x.lark.reply.x",
    "amq.gen-",
    "amq.gen",
    "amq.genx",
    "amq_",
    "amq.",
    "amq.rabbitmq.trace",
    "amq.rabbitmq.reply-to.",
    "amq.rabbitmq.reply-tox",
    " lark.reply.x",
    "订单",
    "x" * 255,
]
"""Where no reply may ever be sent."""

KINDS = [*FORMS, *CALL_IDS, *DEADLINES, *COPIES, *UNROUTED]
