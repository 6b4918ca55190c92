"""What a message to be sent must look like."""

from __future__ import annotations

from typing import Any

import orjson

from .answers import Answer, failure, field_violation
from .files import Files

MESSAGE_TYPES = frozenset(
    {
        *("text", "post", "image", "file", "audio", "media", "sticker", "interactive"),
        *("share_chat", "share_user", "system"),
    }
)


def message_refusal(app_id: str, body: dict[str, Any], files: Files) -> Answer | None:
    """Why a message cannot be sent, None when it can."""
    msg_type, uuid = body.get("msg_type"), body.get("uuid", "")
    if not isinstance(msg_type, str) or not msg_type:
        return field_violation("msg_type", "msg_type is required")
    if msg_type not in MESSAGE_TYPES:
        return failure(400, 230001, f"Your request contains an invalid msg_type: {msg_type}")
    if not isinstance(uuid, str) or len(uuid) > 50:
        return field_violation("uuid", "the max len is 50", str(uuid))
    return content_refusal(app_id, msg_type, body.get("content"), files)


def content_refusal(app_id: str, msg_type: str, content: object, files: Files) -> Answer | None:
    """Why a message cannot have such a content, None when it can."""
    if not isinstance(content, str) or not content:
        return field_violation("content", "content is required, a JSON string")
    if len(content) > (150_000 if msg_type == "text" else 30_000):
        return failure(400, 230025, "The length of the message content reaches its limit.")
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        return failure(400, 230001, "content is not a string in json format")
    if msg_type == "image":
        return files.refusal(app_id, str(parsed.get("image_key", "")))
    return None
