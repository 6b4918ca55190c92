"""Of a call that the broker gave up, the rule that counts first is told."""

from __future__ import annotations

from typing import Any, cast

import orjson
import pytest

from consumers.dead_letters import DeadLetterHandler
from consumers.endings import Endings
from consumers.pipeline import Pipeline
from consumers.settlement import Finish
from gateway.database import Database
from gateway.metrics import Metrics
from gateway.producer_grant_rows import Grant, read_apis
from gateway.producer_grants import ProducerGrants
from schemas.reply import ErrorType
from tests.support.builders import dimensions, make_delivery
from tests.support.calls import read


class Ended:
    """How deliveries ended."""

    def __init__(self) -> None:
        self.endings: list[Finish] = []

    async def of_delivery(self, delivery: Any, alias: Any, ending: Finish, address: Any) -> None:
        self.endings.append(ending)


class NothingKnown:
    """Stands in for the pipeline: no record knows of the call."""

    async def end_expired(self, delivery: Any, alias: Any) -> bool:
        return False


@pytest.mark.parametrize(
    ("queue", "user", "body", "type_"),
    [
        ("lark.calls.default.bulk", "billing", read(), ErrorType.DEADLINE_EXCEEDED),
        ("lark.calls.default.bulk", "crm", read(), ErrorType.FORBIDDEN),
        ("lark.calls.default.bulk", None, read(), ErrorType.FORBIDDEN),
        ("lark.calls.hr.bulk", "billing", read(), ErrorType.FORBIDDEN),
        ("lark.calls.default.bulk", "crm", {"method": "GET"}, ErrorType.INVALID_CALL),
        ("somewhere", "billing", read(), ErrorType.FORBIDDEN),
    ],
)
async def test_a_call_that_expired_without_a_grant_was_forbidden(
    queue: str, user: str | None, body: Any, type_: ErrorType
) -> None:
    producers, ended = ProducerGrants(dimensions()), Ended()
    producers.replace([Grant("billing", "default", read_apis("*"))])
    handler = DeadLetterHandler(
        *(cast(Endings, ended), cast(Database, None), Metrics(), producers),
        cast(Pipeline, NothingKnown()),
    )
    headers = {"x-death": [{"queue": queue, "reason": "expired"}]}
    delivery = make_delivery(orjson.dumps(body), queue="lark.dead", user_id=user, headers=headers)

    assert await handler.handle(delivery)
    (ending,) = ended.endings
    assert ending.error is not None
    assert ending.error.type is type_
