"""Users, the bot itself, and the user behind a user token."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from .answers import Answer, failure, field_violation, success
from .repeats import Behaviour
from .request import ApiRequest

_PREFIXES = {"open_id": "ou_", "union_id": "on_", "user_id": ""}


class Contacts:
    """A directory in which every well-formed id is somebody."""

    def behaviours(self) -> Mapping[str, Behaviour]:
        return {
            "GET /open-apis/contact/v3/users/:user_id": self.get_user,
            "POST /open-apis/contact/v3/users/batch_get_id": self.batch_get_id,
            "GET /open-apis/authen/v1/user_info": self.user_info,
            "GET /open-apis/bot/v3/info": self.bot_info,
        }

    def get_user(self, request: ApiRequest) -> Answer:
        kind = request.query("user_id_type", "open_id")
        if kind not in _PREFIXES:
            return field_violation("user_id_type", f"options: {', '.join(_PREFIXES)}", kind)
        user_id = request.param("user_id")
        if not user_id.startswith((_PREFIXES[kind], "sim_")):
            msg = f"The request you send is not a valid {{{kind}}} or not exists"
            return failure(400, 99992351, msg)
        return success({"user": _user(kind, user_id)})

    def batch_get_id(self, request: ApiRequest) -> Answer:
        kind = request.query("user_id_type", "open_id")
        body = request.json or {}
        emails, mobiles = body.get("emails", []), body.get("mobiles", [])
        if kind not in _PREFIXES:
            return field_violation("user_id_type", f"options: {', '.join(_PREFIXES)}", kind)
        if not isinstance(emails, list) or not isinstance(mobiles, list):
            return failure(400, 9499, "Bad Request: emails and mobiles are lists")
        if len(emails) > 50 or len(mobiles) > 50:
            return field_violation("emails", "the max len is 50")
        found = [{"email": email, "user_id": _id(kind, str(email))} for email in emails]
        found += [{"mobile": mobile, "user_id": _id(kind, str(mobile))} for mobile in mobiles]
        return success({"user_list": found})

    def user_info(self, request: ApiRequest) -> Answer:
        return success({**_user("open_id", request.user), "tenant_key": "sandbox_tenant"})

    def bot_info(self, request: ApiRequest) -> Answer:
        bot = {
            "activate_status": 2,
            "app_name": f"Sandbox bot of {request.app_id}",
            "avatar_url": "",
            "ip_white_list": [],
            "open_id": _id("open_id", request.app_id),
        }
        return success(bot=bot)


def _id(kind: str, seed: str) -> str:
    return _PREFIXES[kind] + hashlib.sha256(f"{kind}:{seed}".encode()).hexdigest()[:32]


def _user(kind: str, user_id: str) -> dict[str, Any]:
    ids = {other: _id(other, user_id) for other in _PREFIXES} | {kind: user_id}
    return {
        **ids,
        "name": f"User {user_id[-8:]}",
        "en_name": f"User {user_id[-8:]}",
        "email": f"{user_id}@sandbox.invalid",
        "status": {"is_activated": True, "is_frozen": False, "is_resigned": False},
    }
