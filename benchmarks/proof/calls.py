"""Kinds of calls that the proofs make, one per class of API, each effect marked by its own id."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import Any

from .ledger import Line, Producer

MESSAGES = "POST /open-apis/im/v1/messages"
USERS = "GET /open-apis/contact/v3/users/:user_id"
READ_DOCUMENTS = "GET /open-apis/docx/v1/documents/:document_id"
FOLDERS = "POST /open-apis/drive/v1/files/create_folder"
DOCUMENTS = "POST /open-apis/docx/v1/documents"

WIDE = dict.fromkeys((MESSAGES, USERS, DOCUMENTS), "1000000/1")
"""Site limits that never bind."""


def message() -> dict[str, Any]:
    """A keyed call: a message to a chat of its own."""
    return {
        "method": "POST",
        "path": "/open-apis/im/v1/messages",
        "query": {"receive_id_type": "chat_id"},
        "body": {
            "receive_id": f"oc_{uuid.uuid4().hex}",
            "msg_type": "text",
            "content": '{"text":"hello"}',
        },
    }


def read_user() -> dict[str, Any]:
    """A read that says whom it asked for."""
    return {
        "method": "GET",
        "path": "/open-apis/contact/v3/users/:user_id",
        "path_params": {"user_id": f"ou_{uuid.uuid4().hex}"},
    }


def create_folder() -> dict[str, Any]:
    """A call of an API that takes five a second."""
    return {
        "method": "POST",
        "path": "/open-apis/drive/v1/files/create_folder",
        "body": {"name": uuid.uuid4().hex, "folder_token": "fld_proof"},
    }


def read_document() -> dict[str, Any]:
    """A read of an API that takes five a second, and nothing else protects."""
    return {
        "method": "GET",
        "path": "/open-apis/docx/v1/documents/:document_id",
        "path_params": {"document_id": uuid.uuid4().hex},
    }


def create_document() -> dict[str, Any]:
    """A call that must not be sent twice: this API has no key."""
    return {
        "method": "POST",
        "path": "/open-apis/docx/v1/documents",
        "body": {"title": uuid.uuid4().hex},
    }


def mixed(random_: random.Random) -> dict[str, Any]:
    """Two reads, two messages and one document of five."""
    return random_.choice((read_user, read_user, message, message, create_document))()


async def offer(producer: Producer, rate: float, seconds: float, seed: int) -> list[Line]:
    """Offer mixed calls at a steady rate, whatever becomes of them; return their lines."""
    random_ = random.Random(seed)
    started = time.monotonic()
    tasks = []
    for number in range(int(rate * seconds)):
        delay = started + number / rate - time.monotonic()
        if delay > 0:
            await asyncio.sleep(delay)
        tasks.append(asyncio.create_task(producer.call(mixed(random_))))
    return list(await asyncio.gather(*tasks))
