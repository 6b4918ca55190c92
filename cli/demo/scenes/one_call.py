"""One call: the message and its reply, as they travel."""

from __future__ import annotations

import json
from typing import Any

import orjson

from cli.call.fields import written
from cli.demo.stage import Check, Stage, milliseconds
from cli.producer import Message
from schemas import names

TITLE = "One call"


async def play(stage: Stage) -> list[Check]:
    """Publish one message, print it and what comes back."""
    message = Message(f"{stage.run}-first", written(_call()), 10)
    properties = stage.producer.properties(message)
    stage.say(f"A producer publishes this message to the exchange {names.CALLS_EXCHANGE}:")
    stage.show("routing key", message.routing_key)
    stage.show("message_id", properties.message_id)
    stage.show("type", properties.message_type)
    stage.show("content_type", properties.content_type)
    stage.show("reply_to", properties.reply_to)
    stage.show("correlation_id", properties.correlation_id)
    stage.show("expiration", f"{properties.expiration} (ms)")
    stage.show("headers", json.dumps(properties.headers))
    stage.show_json(message.body)

    reply = await stage.producer.call(message)
    stage.say(f"{milliseconds(reply.seconds)} later this reply comes to its reply queue:")
    stage.show("correlation_id", reply.properties.correlation_id)
    stage.show("headers", json.dumps(reply.properties.headers))
    stage.show_json(reply.body)

    told = orjson.loads(reply.body)
    messages = await stage.feishu.read("messages", receive_id="oc_demo_first")
    sent = (told["response"] or {}).get("body", {}).get("data", {}).get("message_id")
    stage.say("The producer holds no app secret and no token, and sent no HTTP request.")
    return [
        Check(
            "one call is answered, and Feishu has its message once",
            f"{'ok' if told['ok'] else told['error']['type']} in {milliseconds(reply.seconds)}, "
            f"{len(messages)} message",
            [message["message_id"] for message in messages] == [sent],
        )
    ]


def _call() -> dict[str, Any]:
    return {
        "method": "POST",
        "path": "/open-apis/im/v1/messages",
        "query": {"receive_id_type": "chat_id"},
        "body": {
            "receive_id": "oc_demo_first",
            "msg_type": "text",
            "content": json.dumps({"text": "hello"}),
        },
    }
