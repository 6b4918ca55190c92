"""The official SDK in four threads; who is rejected tries again until the message is taken."""

from __future__ import annotations

import os
import threading
import time

import lark_oapi as lark
from lark_oapi.api.im.v1 import CreateMessageRequest, CreateMessageRequestBody

from sandbox.feishu.options import DEFAULT_APP_ID, DEFAULT_SECRET

from .feishu import message

THREADS = 4
NAIVE_SECONDS = 0.05


def _request() -> CreateMessageRequest:
    fields = message()
    body = (
        CreateMessageRequestBody.builder()
        .receive_id(fields["receive_id"])
        .msg_type(fields["msg_type"])
        .content(fields["content"])
        .build()
    )
    return CreateMessageRequest.builder().receive_id_type("chat_id").request_body(body).build()


def _send_until(when: float, obey: bool) -> None:
    client = (
        lark.Client.builder()
        .app_id(DEFAULT_APP_ID)
        .app_secret(DEFAULT_SECRET)
        .domain(os.environ["FEISHU_URL"])
        .log_level(lark.LogLevel.CRITICAL)
        .build()
    )
    while time.monotonic() < when:
        response = client.im.v1.message.create(_request())
        if response.success():
            continue
        reset = float(response.raw.headers["x-ogw-ratelimit-reset"]) if obey else NAIVE_SECONDS
        time.sleep(max(0.0, min(reset, when - time.monotonic())))


def main() -> None:
    """Send until time is up."""
    when = time.monotonic() + float(os.environ["SECONDS"])
    obey = os.environ["RETRY"] == "reset"
    threads = [threading.Thread(target=_send_until, args=(when, obey)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
