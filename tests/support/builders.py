"""Values of the core with everything in them that a test does not care about."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import orjson
from pamqp import commands as spec
from pydantic import SecretStr

from consumers.codec import Delivery, open_envelope
from consumers.copies import delayed_copy
from gateway.apps import App
from gateway.catalogue import Catalogue
from gateway.dimensions import Dimensions
from gateway.feishu import Answer
from gateway.jobs import Job, prepare
from schemas import names
from schemas.apis import ApiTable
from schemas.call import Call
from tests.support.calls import change, invite, read, send

NOW = 1_800_000_000.0
APP = App("default", "cli_1", SecretStr("secret"), "https://open.feishu.cn")
CLASSES = {"R": read, "I": change, "K": send, "N": invite}


@cache
def dimensions() -> Dimensions:
    """Those of all documented APIs."""
    return Dimensions(Catalogue(ApiTable.load()))


def make_delivery(body: bytes = b"{}", **changes: Any) -> Delivery:
    """A delivery of the default app's interactive lane; other names are AMQP properties."""
    own = {name: changes.pop(name) for name in Delivery.__slots__ if name in changes}
    if "type" in changes:
        changes["message_type"] = changes.pop("type")
    given: dict[str, Any] = {
        "exchange": names.CALLS_EXCHANGE,
        "routing_key": "default.interactive",
        "queue": names.calls_queue("default", "interactive"),
        "redelivered": False,
        "received": NOW,
        **own,
    }
    return Delivery(body=body, properties=spec.Basic.Properties(**changes), **given)


def make_call(**fields: Any) -> Call:
    """A call of class R with other fields; `as_` stands for `as`."""
    if "as_" in fields:
        fields["as"] = fields.pop("as_")
    return Call.model_validate({**read(), **fields})


def make_job(klass: str = "R", *, tries: int = 0, attempts: int = 0, **how: Any) -> Job:
    """A job of an API of this class; *how* is fields of the call, or of the job."""
    job_fields = {
        name: how.pop(name) for name in ("deadline", "call_id", "id_given") if name in how
    }
    job = prepare(
        APP,
        Call.model_validate({**CLASSES[klass](), **how}),
        dimensions(),
        **{"call_id": "c-1", "id_given": True, "deadline": NOW + 60, **job_fields},
    )
    assert job.klass == klass
    job.tries, job.attempts = tries, attempts
    return job


def job_of(method: str, path: str, app: App = APP, **how: Any) -> Job:
    """A job of any API; *how* is other fields of the call."""
    call = Call.model_validate({"method": method, "path": path, **how})
    return prepare(app, call, dimensions(), call_id="c-1", id_given=True, deadline=NOW + 60)


def make_answer(status: int = 200, document: Any = None, **changes: Any) -> Answer:
    """An answer of Feishu's: JSON where a document is given, else text without a body."""
    is_json = document is not None
    given: dict[str, Any] = {
        "headers": {},
        "body": orjson.dumps(document) if is_json else b"",
        "content_type": "application/json" if is_json else "text/plain",
        "is_json": is_json,
        "document": document,
        "seconds": 0.1,
        **changes,
    }
    return Answer(status=status, **given)


def make_copy(delivery: Delivery, **history: Any) -> Delivery:
    """The delivery as it comes back from a retry rung."""
    envelope = open_envelope(delivery)
    member = history.pop("member", None)
    envelope = replace(envelope, history=replace(envelope.history, member=member))
    counters = {"attempts": 0, "tries": 0, "not_before": 0.0, **history}
    properties = delayed_copy(delivery, envelope, **counters)
    return make_delivery(
        delivery.body,
        exchange=names.REENTER_EXCHANGE,
        routing_key=delivery.routing_key,
        queue=names.retry_queue("default"),
        **properties,
    )
