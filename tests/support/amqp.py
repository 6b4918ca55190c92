"""AMQP messages as they are sent, odd ones too, and as they arrive."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from aiormq.abc import DeliveredMessage
from pamqp import commands as spec
from pamqp import encode

from schemas import names


class Exactly(spec.Basic.Properties):
    """Properties that go onto the wire as given: empty ones too, bytes as they are, no made-up id.

    `type` is the AMQP name of the message's type. Bytes as `headers` are a whole encoded table.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__()
        if "type" in given:
            given["message_type"] = given.pop("type")
        self.given = {"delivery_mode": 2} | given

    def marshal(self) -> bytes:
        flags, parts = 0, []
        for name in spec.Basic.Properties.__slots__:
            if (value := self.given.get(name)) is not None:
                flags |= self.flags[name]
                parts.append(_written(value, self.amqp_type(name)))
        return struct.pack(">H", flags) + b"".join(parts)


def _written(value: Any, type_: str) -> bytes:
    if isinstance(value, bytes):
        length = ">I" if type_ == "table" else ">B"
        return struct.pack(length, len(value)) + value
    if type_ == "timestamp" and isinstance(value, int):
        return struct.pack(">Q", value)
    if type_ == "shortstr":
        return _written(value.encode("utf-8", "surrogateescape"), type_)
    return encode.by_type(value, type_)


@dataclass(frozen=True)
class Message:
    """A message as it was delivered; `at` is monotonic time."""

    body: bytes
    properties: spec.Basic.Properties
    routing_key: str
    exchange: str
    at: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, message: DeliveredMessage) -> Message:
        """Take what matters from a delivery."""
        return cls(
            message.body,
            message.header.properties,
            message.routing_key or "",
            message.exchange or "",
        )

    @property
    def headers(self) -> dict[str, Any]:
        """The headers, never None."""
        return dict(self.properties.headers or {})

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error of a reply; fails where there is none."""
        error = self.json["error"]
        assert isinstance(error, dict), self.json
        return error

    @property
    def dead_error(self) -> dict[str, Any]:
        """The error of a dead letter."""
        return dict(json.loads(self.headers[names.HEADER_DEAD_ERROR]))
