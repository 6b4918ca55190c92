"""A poison message: refused at once, kept, and in nobody's way."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from cli.demo.stage import Check, Stage, milliseconds
from cli.producer import Message

TITLE = "A poison message, found in the dead letters"
BODY = b'{"method": "POST", "path": "/open-apis/im/v1/messages", "body": {"text": "never clo'
FIND_SECONDS = 10.0
_FIND = "SELECT reason, error, body, dead_at FROM dead_letters WHERE call_id = $1"


async def play(stage: Stage) -> list[Check]:
    """Publish what is no JSON, read its answer and its row, then make a good call."""
    message = Message(f"{stage.run}-poison", BODY, 10)
    stage.say("A producer publishes a body that breaks off:")
    stage.show_json(BODY)
    refused = await stage.send(message)
    stage.say(f"{milliseconds(refused.seconds)} later it has its answer:")
    stage.show_json(orjson.dumps(refused.reply["error"]))

    row = await _row(stage, message.call_id)
    if row is None:
        return [Check("the poison message is a dead letter", "no row in Postgres", held=False)]
    stage.say("And the operator has the message, in the Postgres table dead_letters:")
    for name in ("dead_at", "reason", "error", "body"):
        value = row[name]
        stage.show(name, value.decode() if isinstance(value, bytes) else value)

    good = await stage.call("GET", "/open-apis/contact/v3/users/ou_after", "after-poison")
    alive = sum(gateway.alive for gateway in stage.gateways)
    stage.show("the next call", f"{good.type} in {milliseconds(good.seconds)}")
    return [
        Check(
            "the poison message is answered and kept byte for byte",
            f"{refused.type} in {milliseconds(refused.seconds)}, dead letter {row['reason']}",
            (refused.type, row["reason"], row["body"]) == ("invalid_call", "malformed", BODY),
        ),
        Check(
            "the gateway goes on: same processes, next call ok",
            f"{alive} of {len(stage.gateways)} processes, {good.type}",
            good.ok and alive == len(stage.gateways),
        ),
    ]


async def _row(stage: Stage, call_id: str) -> Any:
    try:
        async with asyncio.timeout(FIND_SECONDS):
            while True:
                row = await stage.database.fetchrow(_FIND, call_id)
                if row is not None:
                    return row
                await asyncio.sleep(0.05)
    except TimeoutError:
        return None
