"""What is fuzzed: each takes any bytes, and raises only where there is a defect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import orjson
from multidict import CIMultiDict, CIMultiDictProxy
from pamqp import commands as spec
from pydantic import SecretStr

from consumers.body import parse_call
from consumers.codec import Delivery, Poison, address_of, check_reply_to, open_envelope
from consumers.copies import kept_headers
from consumers.replies import error_of, said_of
from consumers.wire import _read_headers, carry_any_message, table
from gateway.apps import App
from gateway.crypto import KeyRing, Undecryptable, context, key_id_of
from gateway.errors import GatewayError
from gateway.feishu import _answer
from gateway.jobs import prepare
from gateway.redaction import Redactor
from gateway.retry import RetryPolicy
from gateway.tokens.endpoint import judge as judge_token
from gateway.tokens.endpoint import token_of
from gateway.verdict import judge
from schemas import names
from tests.corpus.catalogue import seeds_of
from tests.corpus.seeds import Answered
from tests.support.builders import dimensions, make_delivery, make_job

_APP = App("default", "cli_1", SecretStr("secret-of-the-app"), "https://open.feishu.cn")
_POLICY = RetryPolicy()
_RING = KeyRing([b"k" * 32])
_PLACE = context("postgres", "apps", b"default", "secret")
_SEALED = _RING.seal(b"secret-of-a-row", _PLACE)
_REDACTOR = Redactor()
_JOB = make_job()


@dataclass(frozen=True)
class Target:
    """`run` returns what kind of end the input had, so that inputs of new kinds can be kept."""

    name: str
    run: Callable[[bytes], str]
    first: Callable[[], list[bytes]]


def _message(data: bytes) -> str:
    """Bytes before the first separator are a header table, those after it the body."""
    head, _, body = data.partition(b"\n--\n")
    try:
        _, headers = _read_headers(len(head).to_bytes(4, "big") + head)
    except (ValueError, IndexError):
        # RabbitMQ hands on no table that is broken.
        headers = {}
    delivery = _with_properties(body, headers)
    address_of(delivery)
    table(kept_headers(delivery))
    try:
        check_reply_to(delivery)
        envelope = open_envelope(delivery)
        call = parse_call(body)
        job = prepare(
            _APP,
            call,
            dimensions(),
            call_id=envelope.call_id,
            id_given=envelope.id_given,
            deadline=envelope.deadline,
        )
        job.request.payload()
    except Poison as poison:
        return f"{poison.type} {poison.message[:24]}"
    except GatewayError as error:
        return f"{error.type}"
    return f"{job.klass} {job.request.multipart}"


def _with_properties(body: bytes, headers: dict[str, Any]) -> Delivery:
    """A delivery whose properties are those headers too that have a property's name."""
    given = {
        name.replace("type", "message_type") if name == "type" else name: value
        for name, value in headers.items()
        if isinstance(value, str) and name in (*spec.Basic.Properties.__slots__, "type")
    }
    delivery = make_delivery(body, headers=headers)
    for name, value in given.items():
        if hasattr(delivery.properties, name):
            setattr(delivery.properties, name, value)
    return delivery


def _message_seeds() -> list[bytes]:
    carry_any_message()
    found = []
    for category in ("b1", "b3", "b4", "b7", "b8", "b9", "b12"):
        for seed in seeds_of(category)[::5]:
            headers = seed.properties.get("headers")
            head = headers if isinstance(headers, bytes) else table(_plain(seed.properties))[4:]
            if len(seed.body) < names.MAX_DEPTH * 64:
                found.append(head + b"\n--\n" + seed.body)
    return found


def _plain(properties: Any) -> dict[str, Any]:
    own = {name: value for name, value in properties.items() if isinstance(value, str)}
    headers = properties.get("headers")
    return own | headers if isinstance(headers, dict) and "headers" not in headers else own


def _feishu(data: bytes) -> str:
    """The first line is a status, then come headers, then the body; read as a call's answer."""
    status, headers, body = _parts(data)
    response = cast(aiohttp.ClientResponse, SimpleNamespace(status=status, headers=headers))
    answer = _answer(response, body, 0.1)
    error = judge(answer, _POLICY, _JOB.buckets)
    said = None if error is None else error_of(error, _REDACTOR, answer.log_id)
    recorded = said_of(answer, said, attempts=1, app="default")
    orjson.loads(recorded.response or b"")
    return "ok" if error is None else f"{error.type} {error.outcome} {error.code is None}"


def _token(data: bytes) -> str:
    """The same as an answer of the endpoint that issues tokens."""
    status, headers, body = _parts(data)
    try:
        issued = judge_token(_APP, status, headers, body, token_of("tenant_access_token"))
    except GatewayError as error:
        orjson.dumps(error_of(error, _REDACTOR).model_dump(mode="json"))
        return f"{error.type} {error.outcome}"
    assert issued
    return "ok"


def _parts(data: bytes) -> tuple[int, CIMultiDictProxy[str], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    digits = bytes(char for char in first if char in b"0123456789")[-3:]
    pairs = (line.partition(b":") for line in lines)
    headers: CIMultiDict[str] = CIMultiDict()
    for name, _, value in pairs:
        # As aiohttp reads them.
        text = value.strip().decode("utf-8", "surrogateescape")
        headers.add(name.decode("utf-8", "surrogateescape"), text)
    return int(digits or b"200"), CIMultiDictProxy(headers), body


def _answer_seeds() -> list[bytes]:
    found = [
        seed.verdict.form.data.replace(b"HTTP/1.1 ", b"", 1)
        for seed in seeds_of("b14")
        if isinstance(seed.verdict, Answered) and len(seed.verdict.form.data) < 4096
    ]
    head = b"200\r\nContent-Type: application/json\r\n\r\n"
    issued = b'{"code":0,"msg":"ok","tenant_access_token":"t-1","expire":7200}'
    return [*found, head + issued]


def _row(data: bytes) -> str:
    """A sealed value as it may stand in a row: nothing but what was sealed there is opened."""
    key_id_of(data)
    try:
        opened = _RING.open(data, _PLACE)
    except Undecryptable as error:
        return str(error)[:24]
    assert data == _SEALED, "another value was opened"
    return opened.decode()


TARGETS = {
    target.name: target
    for target in (
        Target("message", _message, _message_seeds),
        Target("answer", _feishu, _answer_seeds),
        Target("token", _token, _answer_seeds),
        Target("row", _row, lambda: [_SEALED, b"", _SEALED[:20], b"\1" + b"\0" * 40]),
    )
}
