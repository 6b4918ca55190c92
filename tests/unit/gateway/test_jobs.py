"""A call made ready: its class, its key, its token, and whether it may be repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.apps import App, AppKind
from gateway.catalogue import derive_key
from gateway.errors import Refused
from gateway.tokens.token import TENANT, Holder
from schemas.reply import ErrorType
from tests.support.builders import APP, job_of, make_job
from tests.support.calls import SEND

STORE_APP = replace(APP, alias="shop", app_id="cli_2", kind=AppKind.STORE)
USER = "/open-apis/contact/v3/users/ou_1"


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


@pytest.mark.parametrize(
    ("klass", "id_given", "recorded"),
    [("R", True, False), ("I", True, False), ("K", True, True), ("N", True, True)]
    + [(klass, False, False) for klass in "RIKN"],
)
def test_of_which_calls_the_end_is_recorded(klass: str, id_given: bool, recorded: bool) -> None:
    assert make_job(klass, id_given=id_given).recorded is recorded


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
    ("app", "identity", "holder"),
    [
        (APP, "none", None),
        (APP, "tenant", TENANT),
        # Feishu gives a self-built app one string for both.
        (APP, "app", TENANT),
        (APP, {"user": "u"}, Holder("user", "u")),
        (STORE_APP, "none", None),
        (STORE_APP, "app", Holder("app")),
        (STORE_APP, {"tenant": "t"}, Holder("tenant", "t")),
        (STORE_APP, {"user": "u"}, Holder("user", "u")),
    ],
)
def test_whose_token_is_attached(app: App, identity: Any, holder: Holder | None) -> None:
    assert job_of("GET", USER, app, **{"as": identity}).holder == holder


@pytest.mark.parametrize(
    ("app", "identity", "says"),
    [
        (APP, {"tenant": "t"}, "no other tenants"),
        (STORE_APP, "tenant", r'name the one .* \{"tenant": "<tenant_key>"\}'),
    ],
)
def test_an_identity_that_the_app_does_not_have_is_refused(
    app: App, identity: Any, says: str
) -> None:
    with pytest.raises(Refused, match=f"as: .*{says}") as refused:
        job_of("GET", USER, app, **{"as": identity})
    assert refused.value.type is ErrorType.INVALID_CALL


def test_a_call_of_a_store_app_that_names_nobody_is_refused_as_if_it_said_tenant() -> None:
    with pytest.raises(Refused, match="as: this app is of the store"):
        job_of("GET", USER, STORE_APP)


def test_each_tenant_of_a_store_app_has_limits_of_its_own() -> None:
    one, other = (job_of("GET", USER, STORE_APP, **{"as": {"tenant": t}}) for t in ("t1", "t2"))
    assert (one.tenant, other.tenant) == ("t1", "t2")
    assert {bucket.key for bucket in one.buckets}.isdisjoint(b.key for b in other.buckets)
    assert one.buckets == job_of("GET", USER, STORE_APP, **{"as": {"tenant": "t1"}}).buckets


@pytest.mark.parametrize("identity", ["app", "none", {"user": "t1"}])
def test_a_call_that_names_no_tenant_takes_from_no_tenants_limits(identity: Any) -> None:
    job = job_of("GET", USER, STORE_APP, **{"as": identity})
    assert job.tenant is None
    assert job.buckets[0] == job_of("GET", USER, STORE_APP, **{"as": "app"}).buckets[0]
    assert job.buckets[0] != job_of("GET", USER, STORE_APP, **{"as": {"tenant": "t1"}}).buckets[0]


def test_calls_of_one_api_share_a_bucket_whatever_their_parameters() -> None:
    one, two = (make_job(path_params={"user_id": user}) for user in ("ou_1", "ou_2"))
    assert one.buckets == two.buckets
    assert one.buckets != make_job("I").buckets
