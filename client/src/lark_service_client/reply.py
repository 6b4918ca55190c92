"""The answer to one call, as the caller reads it."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from .schemas import reply as contract


class Reply(contract.Reply):
    """The gateway's reply: `ok`, `response`, `error`, `meta` and `call_id` as in the contract."""

    @property
    def data(self) -> Any:
        """Feishu's `data`: None where the answer has none or is no Feishu envelope."""
        body = self.response.body if self.response else None
        return body.get("data") if isinstance(body, dict) else None

    @property
    def content(self) -> bytes:
        """The bytes of a download: empty where the answer was JSON or there was none."""
        encoded = self.response.body_base64 if self.response else None
        return b64decode(encoded) if encoded else b""
