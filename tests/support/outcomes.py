"""Outcome records that say what a test tells them to say: the input of whoever asks them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gateway.errors import GatewayError
from gateway.outcomes.protocol import Claim, InDoubt, Question, Recorded, Running

Answer = Claim | Recorded | Running | InDoubt | GatewayError

SENT = Recorded(b'{"status":200,"headers":{},"body":{"code":0}}', None, attempts=1, app="default")
"""How a call ended that Feishu carried out."""


class Told:
    """Answers one claim after the other with what it was told, then gives the call away.

    `stands` is what is on record when a call is completed, else what it is completed with.
    """

    def __init__(self, *answers: Callable[[Question], Answer]) -> None:
        self.answers = deque(answers)
        self.stands: Recorded | None = None
        self.questions: list[Question] = []
        self.begun: list[Claim] = []
        self.lost: GatewayError | None = None
        self.completed: list[tuple[Claim, Recorded]] = []
        self.handed_back: list[tuple[Claim, bool]] = []
        self.waits: list[float] = []

    async def claim(self, question: Question) -> Claim | Recorded | Running | InDoubt:
        self.questions.append(question)
        answer = self.answers.popleft()(question) if self.answers else given(question)
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    async def begin(self, claim: Claim) -> None:
        self.begun.append(claim)
        if self.lost is not None:
            raise self.lost
        claim.started = True

    async def complete(self, claim: Claim, recorded: Recorded) -> Recorded:
        self.completed.append((claim, recorded))
        return self.stands or recorded

    async def hand_back(self, claim: Claim, *, remember: bool) -> None:
        self.handed_back.append((claim, remember))

    async def ended(self, running: Running, timeout: float) -> None:
        self.waits.append(timeout)


def given(question: Question) -> Claim:
    return Claim(question, owner="test", written=True)


def in_doubt(question: Question) -> InDoubt:
    return InDoubt(question, Claim(question, owner="", written=True, started=True))
