"""How a simulated Feishu is to behave from its start."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .limits import WindowModel

DEFAULT_APP_ID = "cli_sandbox0000000001"
DEFAULT_SECRET = "sandbox-secret"


@dataclass(frozen=True, slots=True)
class Options:
    """All of it can be changed later over the control endpoint, except sizes and the clock.

    `apps` maps app ids to secrets. `token_life` and `renew_below` are seconds. `overrides` maps an
    API's name (`POST /open-apis/im/v1/messages`) to limits such as `5/1` or `1000/60;50/1`, empty
    for none; `statuses` maps it to the HTTP status of a rejection. `chat_limit` is sends a second
    to one receiver, None for no limit. `clock` returns Unix time in seconds.
    """

    apps: Mapping[str, str] = field(default_factory=lambda: {DEFAULT_APP_ID: DEFAULT_SECRET})
    token_life: float = 7200
    renew_below: float = 1800
    check_token_kind: bool = True
    limits: bool = True
    window_model: WindowModel = WindowModel.SLIDING
    overrides: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    chat_limit: int | None = 5
    latency_ms: float = 0
    jitter_ms: float = 0
    key_window: float = 3600
    ledger_size: int = 200_000
    clock: Callable[[], float] = time.time
