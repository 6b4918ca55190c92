"""A Celery task with a rate limit, which each worker keeps for itself; Celery has no shared one."""

from __future__ import annotations

import os
from typing import Any

import requests
from celery import Celery

from .feishu import message

app = Celery("limits", broker=os.environ.get("RABBITMQ_URL"))
app.conf.update(
    task_default_queue=os.environ.get("CELERY_QUEUE", "celery"),
    task_ignore_result=True,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)
_session = requests.Session()


@app.task(bind=True, max_retries=None, rate_limit=os.environ.get("CELERY_RATE"))  # type: ignore[untyped-decorator]
def send(self: Any) -> None:
    """Send one message; a rejected one goes back to the queue for as long as Feishu asks."""
    response = _session.post(
        f"{os.environ['FEISHU_URL']}/open-apis/im/v1/messages",
        params={"receive_id_type": "chat_id"},
        json=message(),
        headers={"Authorization": f"Bearer {os.environ['FEISHU_TOKEN']}"},
        timeout=30,
    )
    if response.status_code == 429:
        raise self.retry(countdown=float(response.headers["x-ogw-ratelimit-reset"]))
    response.raise_for_status()


def enqueue(url: str, queue: str, count: int) -> None:
    """Put so many tasks into a queue; blocks."""
    producer = Celery("producer", broker=url)
    task = producer.signature(send.name, queue=queue)
    with producer.connection_for_write() as connection:
        for _ in range(count):
            task.apply_async(connection=connection)
