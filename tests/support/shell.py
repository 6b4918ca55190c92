"""A terminal of an operator, between a simulated Feishu and private servers."""

from __future__ import annotations

import secrets
from pathlib import Path

from sandbox.feishu import SandboxFeishu
from sandbox.feishu.faults import Rule
from sandbox.feishu.tokens import TENANT_TOKEN
from tests.support.command import Ran, run
from tests.support.feishu import TENANT_TOKEN as TOKEN_PATH

SECRET = "s0Me-app-Secret-0f-32-characters"


class Shell:
    """A terminal of an operator whose settings name one app, of which nothing is known yet."""

    def __init__(self, simulated: SandboxFeishu, settings: dict[str, str], folder: Path) -> None:
        self.app_id = f"cli_{secrets.token_hex(8)}"
        self.world = simulated.world
        self.world.tokens.apps[self.app_id] = SECRET
        self._own = {"LARK_APP_ID": self.app_id, "LARK_APP_SECRET": SECRET}
        self.settings = settings | self._own
        self.folder = folder
        self._before = self._requests

    async def run(self, *words: str, **settings: str) -> Ran:
        return await run(*words, folder=self.folder, **(self.settings | settings))

    @property
    def _requests(self) -> int:
        return self.world.ledger.requests[TENANT_TOKEN]

    @property
    def asked(self) -> int:
        """Requests for tokens since the terminal was opened."""
        return self._requests - self._before

    @property
    def tokens(self) -> list[str]:
        """The tokens that Feishu gave out for the app."""
        valid = self.world.tokens._valid.values()
        return [token.value for token in valid if token.app_id == self.app_id]

    def fail(self, **fault: object) -> None:
        fields = {"template": TOKEN_PATH, "app_id": "", **fault}
        self.world.script.rules.append(Rule.parse(fields))
