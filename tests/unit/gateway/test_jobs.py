"""A call made ready: its class, its key, its token, and whether it may be repeated."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.catalogue import derive_key
from gateway.errors import Refused
from gateway.tokens.token import TENANT, Holder
from schemas.reply import ErrorType
from tests.support.builders import make_job
from tests.support.calls import SEND


def body_of(job: Any) -> Any:
    return orjson.loads(job.request.content)


@pytest.mark.parametrize(
    ("klass", "retry", "harmless", "redeliverable"),
    [
        ("R", "safe", True, True),
        ("I", "safe", True, True),
        ("K", "safe", True, True),
        ("N", "safe", False, False),
        ("R", "always", True, True),
        ("N", "always", True, True),
        ("R", "never", True, False),
        ("I", "never", True, False),
        ("K", "never", True, False),
        ("N", "never", False, False),
    ],
)
def test_what_may_be_repeated(klass: str, retry: str, harmless: bool, redeliverable: bool) -> None:
    job = make_job(klass, retry=retry)
    assert (job.harmless, job.redeliverable) == (harmless, redeliverable)
    assert job.once is (retry == "never")


def test_a_k_call_without_an_id_may_be_repeated_but_not_after_a_crash() -> None:
    job = make_job("K", id_given=False)
    assert job.harmless
    assert not job.redeliverable
    assert make_job("R", id_given=False).redeliverable
    assert make_job("K", id_given=False, retry="always").redeliverable


def test_a_k_call_carries_the_key_of_its_alias_and_its_id() -> None:
    assert body_of(make_job("K", call_id="a"))["uuid"] == derive_key("default", "a")
    assert body_of(make_job("K", call_id="b"))["uuid"] != derive_key("default", "a")


def test_a_key_of_the_producers_own_is_kept() -> None:
    body = {"receive_id": "oc", "uuid": "mine"}
    assert body_of(make_job("K", body=body)) == body


@pytest.mark.parametrize("body", [None, [], "x", 1])
def test_a_k_call_without_a_place_for_its_key_has_the_class_of_its_method(body: Any) -> None:
    job = make_job("N", path=SEND, path_params={}, body=body)
    assert job.route.name == f"POST {SEND}"
    assert not job.harmless


def test_an_api_outside_the_catalogue_has_the_class_of_its_method() -> None:
    for method, klass in [
        ("GET", "R"),
        ("PUT", "I"),
        ("PATCH", "I"),
        ("DELETE", "I"),
        ("POST", "N"),
    ]:
        job = make_job(klass, method=method, path="/open-apis/new/v1/things", path_params={})
        assert not job.route.known
        assert job.buckets[0].windows


@pytest.mark.parametrize(
    ("identity", "holder"), [("tenant", TENANT), ("app", TENANT), ("none", None)]
)
def test_whose_token_is_attached(identity: str, holder: Holder | None) -> None:
    assert make_job(**{"as": identity}).holder == holder


@pytest.mark.parametrize(
    ("identity", "type_"),
    [
        ({"tenant": "t"}, ErrorType.INVALID_CALL),
        ({"user": "u"}, ErrorType.REAUTH_REQUIRED),
    ],
)
def test_an_identity_that_the_app_does_not_have_is_refused(identity: Any, type_: ErrorType) -> None:
    with pytest.raises(Refused, match="as:") as refused:
        make_job(**{"as": identity})
    assert refused.value.type is type_


def test_calls_of_one_api_share_a_bucket_whatever_their_parameters() -> None:
    one, two = (make_job(path_params={"user_id": user}) for user in ("ou_1", "ou_2"))
    assert one.buckets == two.buckets
    assert one.buckets != make_job("I").buckets
