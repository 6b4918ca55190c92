"""Messages: send, reply, read, edit, recall."""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .answers import Answer, failure, field_violation, success
from .contents import content_refusal, message_refusal
from .files import Files
from .repeats import Behaviour
from .request import ApiRequest
from .subjects import Subjects

RECEIVE_ID_TYPES = frozenset({"open_id", "user_id", "union_id", "email", "chat_id"})
TENANT_KEY = "sandbox_tenant"
_PRIVATE = "oc_p2p"


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
    """The last `size` messages.

    Sends and replies are limited per chat or user. `changes_count` is the kind of subject that an
    edit of a message counts against: `message` as documented, or `chat` as sends do.
    """

    def __init__(
        self,
        files: Files,
        subjects: Subjects,
        *,
        clock: Callable[[], float],
        size: int = 100_000,
    ) -> None:
        self.changes_count = "message"
        self._subjects = subjects
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
        refusal = message_refusal(request.app_id, body, self._files)
        return refusal or self._store(request, chat_id, body, shown=receiver)

    def reply(self, request: ApiRequest) -> Answer:
        parent = self._messages.get(request.param("message_id"))
        body = request.json
        if body is None:
            return _no_object()
        if parent is None or parent.deleted:
            return _unknown_message()
        refusal = message_refusal(request.app_id, body, self._files)
        return refusal or self._store(request, parent.chat_id, body, parent.message_id)

    def get(self, request: ApiRequest) -> Answer:
        message = self._messages.get(request.param("message_id"))
        if message is None:
            return _unknown_message()
        return success({"items": [message.shown()]})

    def edit(self, request: ApiRequest) -> Answer:
        """Replace a text or post."""
        return self._change(request, {"text", "post"})

    def patch_card(self, request: ApiRequest) -> Answer:
        """Replace a card."""
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

    def _store(
        self,
        request: ApiRequest,
        chat_id: str,
        body: dict[str, Any],
        parent_id: str = "",
        *,
        shown: str = "",
    ) -> Answer:
        kind = _receiver_kind(chat_id)
        if refusal := self._subjects.refusal(request, kind, chat_id, shown):
            return refusal
        self._sent += 1
        message_id = f"om_{self._run}{self._sent:024x}"
        at = int(self._clock() * 1000)
        msg_type, content = body["msg_type"], body["content"]
        message = Message(message_id, request.app_id, chat_id, msg_type, content, at, at, parent_id)
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
        refusal = content_refusal(
            request.app_id, message.msg_type, body.get("content"), self._files
        )
        if refusal is not None:
            return refusal
        kind, key = "message", message.message_id
        if self.changes_count != "message":
            kind, key = _receiver_kind(message.chat_id), message.chat_id
        if refusal := self._subjects.refusal(request, kind, key):
            return refusal
        message.content, message.edited = body["content"], True
        message.updated = int(self._clock() * 1000)
        return success(message.shown() if request.method == "PUT" else {})


def _private_chat(receiver: str) -> str:
    return f"{_PRIVATE}{hashlib.sha256(receiver.encode()).hexdigest()[:29]}"


def _receiver_kind(chat_id: str) -> str:
    return "user" if chat_id.startswith(_PRIVATE) else "chat"


def _no_object() -> Answer:
    return failure(400, 9499, "Bad Request: the body is no JSON object")


def _unknown_message() -> Answer:
    return failure(400, 230001, "Your request contains an invalid message_id.")
