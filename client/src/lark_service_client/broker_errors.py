"""What the AMQP library raises while a call is published, and what that means for the call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiormq import exceptions as broker

from .errors import ConnectionLost, NotConfirmed, NotConnected
from .failures import Unroutable
from .request import Request
from .schemas.reply import Outcome


@contextmanager
def translated(request: Request, timeout: float) -> Iterator[None]:
    """Turn what a publish raises into NotConnected, NotConfirmed, ConnectionLost or Unroutable."""
    unconfirmed: Any = {"call_id": request.call_id, "retryable": request.repeatable}
    try:
        yield
    except broker.ChannelInvalidStateError as error:
        message = "the channel closed before the call was sent"
        raise NotConnected(message, call_id=request.call_id) from error
    except broker.PublishError as error:
        raise Unroutable(
            f"no queue takes {request.routing_key}",
            call_id=request.call_id,
            outcome=Outcome.NOT_EXECUTED,
        ) from error
    except broker.DeliveryError as error:
        raise NotConfirmed(
            "the broker refused the call: the queue is full", **unconfirmed
        ) from error
    except broker.AMQPChannelError as error:
        raise NotConfirmed(f"the broker refused the publish: {error}", **unconfirmed) from error
    except TimeoutError as error:
        raise NotConfirmed(f"no confirm within {timeout:.3g} s", **unconfirmed) from error
    except asyncio.CancelledError as error:
        # A dying connection cancels the wait for the confirm, which is no cancellation of ours.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise lost(request, "the call was confirmed") from error
    except Exception as error:
        # The library passes on whatever ended the connection, at a clean end a bare Exception.
        raise lost(request, "the call was confirmed") from error


def lost(request: Request, before: str) -> ConnectionLost:
    """The error of a call under way whose connection ended before something had come."""
    return ConnectionLost(
        f"the connection ended before {before}",
        call_id=request.call_id,
        retryable=request.repeatable,
    )
