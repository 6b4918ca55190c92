"""A full reply queue keeps some replies waiting, as long as they are wanted, not all of them."""

from __future__ import annotations

import asyncio
import time

from consumers.patience import AT_LEAST, Patience
from consumers.publisher import Published


class Queue:
    """Answers publishes as told, the last answer for ever, and counts them."""

    def __init__(self, *answers: Published) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def publish(self) -> Published:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def test_a_reply_is_offered_again_until_there_is_room() -> None:
    queue = Queue(Published.NACKED, Published.NACKED, Published.CONFIRMED)
    outcome = await Patience(1).offer("q", time.time() + 60, queue.publish)
    assert (outcome, queue.asked) == (Published.CONFIRMED, 3)


async def test_a_returned_reply_is_not_offered_again() -> None:
    queue = Queue(Published.RETURNED)
    outcome = await Patience(1).offer("q", time.time() + 60, queue.publish)
    assert (outcome, queue.asked) == (Published.RETURNED, 1)


async def test_only_so_many_replies_wait_for_a_queue_that_stays_full() -> None:
    patience, full = Patience(1), Queue(Published.NACKED)
    wanted_until = time.time() + 2 * AT_LEAST
    waiting = asyncio.create_task(patience.offer("q", wanted_until, full.publish))
    await asyncio.sleep(0)
    # Until it is known that the queue stays full, every reply is offered for a while.
    assert await patience.offer("q", wanted_until, full.publish) is Published.NACKED
    assert not waiting.done()
    late, other = Queue(Published.NACKED), Queue(Published.NACKED, Published.CONFIRMED)
    assert await patience.offer("q", wanted_until, late.publish) is Published.NACKED
    assert late.asked == 1
    assert await patience.offer("another", wanted_until, other.publish) is Published.CONFIRMED
    assert await waiting is Published.NACKED
    assert time.time() >= wanted_until
