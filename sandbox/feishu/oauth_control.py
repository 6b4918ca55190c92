"""What the control endpoint can do to grants of users; control.py names and lists it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from .oauth import OAuth

Fields = dict[str, Any]


class OAuthControl:
    """Makes codes and grants, revokes them, and tells what became of refresh tokens."""

    def __init__(self, oauth: OAuth) -> None:
        self._oauth = oauth

    def writes(self) -> Mapping[str, Callable[[Fields], Fields | None]]:
        """What is posted, by name."""
        return {
            "codes": self._code,
            "grants": self._grant,
            "revoke_grant": self._revoke,
            "oauth": self._settings,
        }

    def shown(self, _: Mapping[str, str]) -> Fields:
        """Lives and counters."""
        oauth = self._oauth
        lives = {"life": oauth.life, "refresh_life": oauth.refresh_life}
        counters = asdict(replace(oauth.statistics, refused=Counter()))
        refused = {str(code): count for code, count in oauth.statistics.refused.items()}
        return {**lives, "code_life": oauth.code_life, **counters, "refused": refused}

    def _code(self, fields: Fields) -> Fields:
        code = self._oauth.code(
            *_whose(fields),
            redirect_uri=str(fields.get("redirect_uri", "")),
            challenge=str(fields.get("code_challenge", "")),
        )
        return {"code": code}

    def _grant(self, fields: Fields) -> Fields:
        return self._oauth.grant(*_whose(fields), int(fields.get("version", 3)))

    def _revoke(self, fields: Fields) -> None:
        app_id, user, _ = _whose(fields)
        self._oauth.revoke(app_id, user)

    def _settings(self, fields: Fields) -> None:
        for name in ("life", "refresh_life", "code_life"):
            if name in fields:
                setattr(self._oauth, name, float(fields[name]))


def _whose(fields: Fields) -> tuple[str, str, str]:
    app_id, user = fields.get("app_id"), fields.get("open_id")
    for name, value in (("app_id", app_id), ("open_id", user)):
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} is required, a string")
    return str(app_id), str(user), str(fields.get("scope", "offline_access"))
