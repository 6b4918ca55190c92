"""Send one message with the Python client: python examples/python_client.py [CHAT_ID]."""

import asyncio
import json
import os
import sys
import uuid

from lark_service_client import ConnectionLost, LarkClient, LarkError, RateLimited, ReplyTimeout

CHAT_ID = sys.argv[1] if len(sys.argv) > 1 else "oc_example"


async def main() -> int:
    url = os.environ.get("RABBITMQ_URL", "amqp://guest:guest@localhost/")
    async with LarkClient(url, name="python-client-example") as lark:
        # The id names the call for good: after a failure, the same id means the same message.
        call_id = f"welcome-{uuid.uuid4()}"
        try:
            reply = await lark.call(
                "POST",
                "/open-apis/im/v1/messages",
                query={"receive_id_type": "chat_id"},
                body={
                    "receive_id": CHAT_ID,
                    "msg_type": "text",
                    "content": json.dumps({"text": "hello from the Python client"}),
                },
                call_id=call_id,
                timeout=10,
            )
        except RateLimited as error:
            print(f"try again in {error.retry_after} s: {error}")
            return 1
        except (ConnectionLost, ReplyTimeout) as error:
            print(f"it may have been sent; ask again with call id {error.call_id}: {error}")
            return 1
        except LarkError as error:
            print(f"not sent: {error}")
            return 1
        print(f"sent {reply.data['message_id']}")

        # Nobody waits for this one: it is safe with the broker when `publish` returns.
        handed_over = await lark.publish(
            "POST",
            "/open-apis/im/v1/messages",
            query={"receive_id_type": "chat_id"},
            body={"receive_id": CHAT_ID, "msg_type": "text", "content": '{"text":"and bye"}'},
        )
        print(f"handed over {handed_over}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
