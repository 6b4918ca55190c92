"""Send one message with plain pika: python examples/python_pika.py [CHAT_ID].

Nothing of Lark Service is imported: this is what the wire contract asks of any producer. The
connection is for one thread, and an idle one must call `process_data_events` for its heartbeats.
"""

import json
import os
import sys
import time
import uuid
from typing import Any

import pika

CALLS = "lark.calls"
REPLY_TO = "amq.rabbitmq.reply-to"
# A reply comes at the latest 1 s after the deadline; clocks may differ by 2 s.
GRACE_SECONDS = 3


class Producer:
    """One connection that makes one call at a time."""

    def __init__(self, url: str, app: str = "default") -> None:
        parameters = pika.URLParameters(url)
        # A broker that runs out of memory or disk stops reading: do not wait for it for ever.
        parameters.blocked_connection_timeout = 20
        self.app = app
        self.user = parameters.credentials.username
        self.connection = pika.BlockingConnection(parameters)
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.replies: dict[str, dict[str, Any]] = {}
        # Before the first publish and on the same channel, or the broker refuses it.
        self.channel.basic_consume(REPLY_TO, self._on_reply, auto_ack=True)

    def _on_reply(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        self.replies[properties.correlation_id] = json.loads(body)

    def publish(
        self, call: dict[str, Any], *, call_id: str, lane: str = "bulk", **reply: Any
    ) -> None:
        """Return once the broker has the call; raises pika's NackError when its queue is full."""
        self.channel.basic_publish(
            CALLS,
            f"{self.app}.{lane}",
            json.dumps(call).encode(),
            pika.BasicProperties(
                content_type="application/json",
                type="lark.call.v1",
                delivery_mode=2,
                message_id=call_id,
                user_id=self.user,
                **reply,
            ),
            mandatory=True,
        )

    def call(self, call: dict[str, Any], *, call_id: str, timeout: float = 10) -> dict[str, Any]:
        """Return the reply. After an exception the call may have been made: keep its id."""
        self.replies.clear()
        correlation_id = str(uuid.uuid4())
        self.publish(
            call,
            call_id=call_id,
            lane="interactive",
            correlation_id=correlation_id,
            reply_to=REPLY_TO,
            expiration=str(int(timeout * 1000)),
            headers={"lark-deadline": int((time.time() + timeout) * 1000)},
        )
        give_up = time.monotonic() + timeout + GRACE_SECONDS
        while correlation_id not in self.replies:
            left = give_up - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no reply to {call_id}: is a gateway running?")
            self.connection.process_data_events(left)
        return self.replies.pop(correlation_id)


def main() -> int:
    producer = Producer(os.environ.get("RABBITMQ_URL", "amqp://guest:guest@localhost/%2F"))
    chat_id = sys.argv[1] if len(sys.argv) > 1 else "oc_example"
    message = {
        "method": "POST",
        "path": "/open-apis/im/v1/messages",
        "query": {"receive_id_type": "chat_id"},
        "body": {
            "receive_id": chat_id,
            "msg_type": "text",
            "content": json.dumps({"text": "hello from pika"}),
        },
    }
    reply = producer.call(message, call_id=f"hello-{uuid.uuid4()}")
    if not reply["ok"]:
        print(f"{reply['error']['type']}: {reply['error']['message']}")
        return 1
    print(f"sent {reply['response']['body']['data']['message_id']}")

    call_id = f"bye-{uuid.uuid4()}"
    producer.publish(message, call_id=call_id)
    print(f"handed over {call_id}")
    producer.connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
