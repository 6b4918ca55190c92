"""Messages: send, reply, read, edit, recall."""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from .answers import Answer, failure, field_violation, success
from .files import Files
from .limits import ReceiverLimit
from .repeats import Behaviour
from .request import ApiRequest

RECEIVE_ID_TYPES = frozenset({"open_id", "user_id", "union_id", "email", "chat_id"})
MESSAGE_TYPES = frozenset(
    {
        *("text", "post", "image", "file", "audio", "media", "sticker", "interactive"),
        *("share_chat", "share_user", "system"),
    }
)
TENANT_KEY = "sandbox_tenant"


@dataclass(slots=True)
class Message:
    """A message as stored; times are in milliseconds."""

    message_id: str
    app_id: str
    chat_id: str
    msg_type: str
    content: str
    created: int
    updated: int
    parent_id: str = ""
    edited: bool = False
    deleted: bool = False

    def shown(self) -> dict[str, Any]:
        """The message as the API returns it."""
        shown: dict[str, Any] = {
            "message_id": self.message_id,
            "msg_type": self.msg_type,
            "create_time": str(self.created),
            "update_time": str(self.updated),
            "deleted": self.deleted,
            "updated": self.edited,
            "chat_id": self.chat_id,
            "sender": {
                "id": self.app_id,
                "id_type": "app_id",
                "sender_type": "app",
                "tenant_key": TENANT_KEY,
            },
            "body": {"content": self.content},
        }
        if self.parent_id:
            shown |= {"root_id": self.parent_id, "parent_id": self.parent_id}
        return shown


class Messages:
    """The last `size` messages; sends are limited per receiver by `receivers`."""

    def __init__(
        self,
        files: Files,
        receivers: ReceiverLimit,
        *,
        clock: Callable[[], float],
        size: int = 100_000,
    ) -> None:
        self.receivers = receivers
        self._files = files
        self._clock = clock
        self._size = size
        self._run = secrets.token_hex(4)
        self._sent = 0
        self._messages: dict[str, Message] = {}
        self._order: deque[str] = deque()

    def behaviours(self) -> Mapping[str, Behaviour]:
        return {
            "POST /open-apis/im/v1/messages": self.send,
            "POST /open-apis/im/v1/messages/:message_id/reply": self.reply,
            "GET /open-apis/im/v1/messages/:message_id": self.get,
            "PUT /open-apis/im/v1/messages/:message_id": self.edit,
            "PATCH /open-apis/im/v1/messages/:message_id": self.patch_card,
            "DELETE /open-apis/im/v1/messages/:message_id": self.recall,
        }

    def send(self, request: ApiRequest) -> Answer:
        id_type = request.query("receive_id_type")
        if id_type not in RECEIVE_ID_TYPES:
            return field_violation("receive_id_type", "receive_id_type is required", id_type)
        body = request.json
        if body is None:
            return _no_object()
        receiver = body.get("receive_id")
        if not isinstance(receiver, str) or not receiver:
            return field_violation("receive_id", "receive_id is required")
        chat_id = receiver if id_type == "chat_id" else _private_chat(receiver)
        return self._check(request, body) or self._store(request.app_id, chat_id, body)

    def reply(self, request: ApiRequest) -> Answer:
        parent = self._messages.get(request.param("message_id"))
        body = request.json
        if body is None:
            return _no_object()
        if parent is None or parent.deleted:
            return _unknown_message()
        refusal = self._check(request, body)
        return refusal or self._store(request.app_id, parent.chat_id, body, parent.message_id)

    def get(self, request: ApiRequest) -> Answer:
        message = self._messages.get(request.param("message_id"))
        if message is None:
            return _unknown_message()
        return success({"items": [message.shown()]})

    def edit(self, request: ApiRequest) -> Answer:
        """Replace a text or post."""
        return self._change(request, {"text", "post"})

    def patch_card(self, request: ApiRequest) -> Answer:
        """Replace a card; limited per message."""
        return self._change(request, {"interactive"})

    def recall(self, request: ApiRequest) -> Answer:
        message = self._messages.get(request.param("message_id"))
        if message is None or message.app_id != request.app_id:
            return _unknown_message()
        message.deleted = True
        return success()

    def stored(self, receiver: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """The newest messages, of one chat or user if given, newest last."""
        chats = {receiver, _private_chat(receiver)} if receiver else None
        found = [m for m in self._messages.values() if chats is None or m.chat_id in chats]
        return [message.shown() for message in found[-limit:]]

    def clear(self) -> None:
        self._messages.clear()
        self._order.clear()
        self.receivers.clear()

    def _check(self, request: ApiRequest, body: dict[str, Any]) -> Answer | None:
        msg_type, content, uuid = body.get("msg_type"), body.get("content"), body.get("uuid", "")
        if not isinstance(msg_type, str) or not msg_type:
            return field_violation("msg_type", "msg_type is required")
        if msg_type not in MESSAGE_TYPES:
            return failure(400, 230001, f"Your request contains an invalid msg_type: {msg_type}")
        if not isinstance(uuid, str) or len(uuid) > 50:
            return field_violation("uuid", "the max len is 50", str(uuid))
        return self._check_content(request, msg_type, content)

    def _check_content(self, request: ApiRequest, msg_type: str, content: object) -> Answer | None:
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
            return self._files.refusal(request.app_id, str(parsed.get("image_key", "")))
        return None

    def _store(
        self, app_id: str, chat_id: str, body: dict[str, Any], parent_id: str = ""
    ) -> Answer:
        now = self._clock()
        if not self.receivers.admit(chat_id, now):
            return _receiver_limited()
        self._sent += 1
        message_id = f"om_{self._run}{self._sent:024x}"
        at = int(now * 1000)
        message = Message(
            message_id, app_id, chat_id, body["msg_type"], body["content"], at, at, parent_id
        )
        self._messages[message_id] = message
        self._order.append(message_id)
        if len(self._order) > self._size:
            del self._messages[self._order.popleft()]
        return success(message.shown())

    def _change(self, request: ApiRequest, kinds: set[str]) -> Answer:
        message = self._messages.get(request.param("message_id"))
        body = request.json
        if body is None:
            return _no_object()
        if message is None or message.deleted or message.app_id != request.app_id:
            return _unknown_message()
        if message.msg_type not in kinds:
            return failure(
                400, 230001, f"a message of type {message.msg_type} cannot be changed so"
            )
        refusal = self._check_content(request, message.msg_type, body.get("content"))
        if refusal is not None:
            return refusal
        now = self._clock()
        if not self.receivers.admit(message.message_id, now):
            return _receiver_limited()
        message.content, message.edited, message.updated = body["content"], True, int(now * 1000)
        return success(message.shown() if request.method == "PUT" else {})


def _private_chat(receiver: str) -> str:
    return f"oc_{hashlib.sha256(receiver.encode()).hexdigest()[:32]}"


def _no_object() -> Answer:
    return failure(400, 9499, "Bad Request: the body is no JSON object")


def _unknown_message() -> Answer:
    return failure(400, 230001, "Your request contains an invalid message_id.")


def _receiver_limited() -> Answer:
    return failure(400, 230020, "This operation triggers the frequency limit, ext=chat rate limit.")
