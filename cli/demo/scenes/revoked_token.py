"""A token is revoked, and no producer notices."""

from __future__ import annotations

import asyncio

from cli.demo.stage import Check, Stage

TITLE = "A revoked token that nobody notices"
CALLS = 50
REJECTED = "99991663"
TOKENS_PER_PROCESS = 2


async def play(stage: Stage) -> list[Check]:
    """Revoke the token in use and make fifty calls at once."""
    before = await stage.feishu.read("stats")
    await stage.feishu.change("revoke")
    stage.say(f"Feishu has just revoked the app's token. Now {CALLS} calls at once:")
    ended = await asyncio.gather(
        *(
            stage.call(
                "GET",
                "/open-apis/contact/v3/users/:user_id",
                f"revoked-{number}",
                path_params={"user_id": f"ou_revoked_{number}"},
            )
            for number in range(CALLS)
        )
    )
    after = await stage.feishu.read("stats")
    ok = sum(each.ok for each in ended)
    rejected = _code(after) - _code(before)
    tokens = after["token_requests"] - before["token_requests"]
    stage.show("answered ok", f"{ok} of {CALLS}")
    stage.show("token rejected", f"{rejected} times (code {REJECTED}), each call then made again")
    stage.show("token requests", f"{tokens} by {len(stage.gateways)} gateway processes")
    most = TOKENS_PER_PROCESS * len(stage.gateways)
    return [
        Check(
            f"all {CALLS} calls succeed, with at most {most} token requests",
            f"{ok} ok, token rejected {rejected} times, new token asked for {tokens} times",
            ok == CALLS and rejected > 0 and 1 <= tokens <= most,
        )
    ]


def _code(stats: dict[str, dict[str, int]]) -> int:
    return int(stats["codes"].get(REJECTED, 0))
