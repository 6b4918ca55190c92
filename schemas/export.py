"""The contract for machines: JSON Schemas and an AsyncAPI document, made from the models.

`python -m schemas.export` writes them into `schemas/json/`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

from . import names
from .call import Call
from .dead_letter import DeadLetter, DeadReason
from .reply import CallError, Reply

FOLDER = Path(__file__).parent / "json"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
MODELS: dict[str, type[BaseModel]] = {
    "call": Call,
    "reply": Reply,
    "error": CallError,
    "dead_letter": DeadLetter,
}


def documents() -> dict[str, str]:
    """Every file of the folder by name, as text."""
    files = {f"{name}.schema.json": _schema(name, model) for name, model in MODELS.items()}
    files["asyncapi.json"] = asyncapi()
    return {name: json.dumps(document, indent=2) + "\n" for name, document in files.items()}


def _schema(name: str, model: type[BaseModel]) -> dict[str, Any]:
    # What the gateway sends is described as it is printed, the call as it is read.
    mode: JsonSchemaMode = "validation" if model is Call else "serialization"
    schema = model.model_json_schema(mode=mode)
    return {"$schema": DRAFT, "$id": f"lark-service/{name}.schema.json"} | schema


def asyncapi() -> dict[str, Any]:
    """The contract as an AsyncAPI 3.0 document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Lark Service",
            "version": "1.0.0",
            "description": "Calls of the Feishu (Lark) OpenAPI over RabbitMQ.",
        },
        "defaultContentType": names.CONTENT_TYPE,
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": _messages(),
            "schemas": {name: {"$ref": f"./{name}.schema.json"} for name in MODELS},
        },
    }


def _channels() -> dict[str, Any]:
    return {
        "calls": {
            "address": "{alias}.{lane}",
            "description": f"Routing key on the topic exchange {names.CALLS_EXCHANGE}.",
            "parameters": {
                "alias": {"description": f"The app's alias, {names.ALIAS.pattern}."},
                "lane": {"enum": list(names.LANES)},
            },
            "messages": {"call": {"$ref": "#/components/messages/call"}},
            "bindings": {
                "amqp": {
                    "is": "routingKey",
                    "exchange": {
                        "name": names.CALLS_EXCHANGE,
                        "type": "topic",
                        "durable": True,
                        "autoDelete": False,
                    },
                    "bindingVersion": "0.3.0",
                }
            },
        },
        "replies": {
            "address": None,
            "description": "The queue that the call names in reply_to.",
            "messages": {"reply": {"$ref": "#/components/messages/reply"}},
        },
        "deadLetters": {
            "address": names.DEAD_LETTER_QUEUE,
            "messages": {"deadLetter": {"$ref": "#/components/messages/deadLetter"}},
            "bindings": {
                "amqp": {
                    "is": "queue",
                    "queue": {"name": names.DEAD_LETTER_QUEUE, "durable": True},
                    "bindingVersion": "0.3.0",
                }
            },
        },
    }


def _operations() -> dict[str, Any]:
    return {
        "call": {
            "action": "receive",
            "channel": {"$ref": "#/channels/calls"},
            "messages": [{"$ref": "#/channels/calls/messages/call"}],
            "reply": {
                "address": {"location": "$message.header#/replyTo"},
                "channel": {"$ref": "#/channels/replies"},
                "messages": [{"$ref": "#/channels/replies/messages/reply"}],
            },
        },
        "bury": {
            "action": "send",
            "channel": {"$ref": "#/channels/deadLetters"},
            "messages": [{"$ref": "#/channels/deadLetters/messages/deadLetter"}],
        },
    }


def _messages() -> dict[str, Any]:
    text = {"type": "string"}
    trace: dict[str, Any] = dict.fromkeys(names.TRACE_HEADERS, text)
    call_id = {"type": "string", "pattern": f"^{names.CALL_ID.pattern}$"}
    return {
        "call": {
            "name": names.CALL_TYPE,
            "contentType": names.CONTENT_TYPE,
            "headers": {
                "type": "object",
                "properties": trace
                | {
                    names.HEADER_CALL_ID: call_id,
                    names.HEADER_DEADLINE: {"type": ["integer", "string"]},
                },
            },
            "payload": {"$ref": "#/components/schemas/call"},
            "bindings": {"amqp": {"messageType": names.CALL_TYPE, "bindingVersion": "0.3.0"}},
        },
        "reply": {
            "name": names.REPLY_TYPE,
            "contentType": names.CONTENT_TYPE,
            "correlationId": {"location": "$message.header#/correlationId"},
            "headers": {
                "type": "object",
                "properties": trace
                | {names.HEADER_CALL_ID: call_id, names.HEADER_STATUS: {"enum": ["ok", "error"]}},
            },
            "payload": {"$ref": "#/components/schemas/reply"},
            "bindings": {"amqp": {"messageType": names.REPLY_TYPE, "bindingVersion": "0.3.0"}},
        },
        "deadLetter": {
            "name": "lark.dead_letter.v1",
            "description": "The call's body, unchanged; the headers say why it was given up.",
            "headers": {
                "type": "object",
                "properties": {
                    names.HEADER_CALL_ID: call_id,
                    names.HEADER_DEAD_REASON: {"enum": [reason.value for reason in DeadReason]},
                    names.HEADER_DEAD_ERROR: {
                        "type": "string",
                        "description": "The error object as a JSON string.",
                    },
                    names.HEADER_ATTEMPTS: {"type": "integer"},
                    names.HEADER_FIRST_SEEN: {"type": "integer"},
                    names.HEADER_ORIGIN_EXCHANGE: text,
                    names.HEADER_ORIGIN_ROUTING_KEY: text,
                    names.HEADER_ORIGIN_USER: text,
                },
                "required": [
                    names.HEADER_DEAD_REASON,
                    names.HEADER_DEAD_ERROR,
                    names.HEADER_ATTEMPTS,
                    names.HEADER_FIRST_SEEN,
                ],
            },
            "payload": {},
        },
    }


def main() -> None:
    """Write the folder anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"schemas/json/{name}\n")


if __name__ == "__main__":
    main()
