"""What the properties of a delivery say, and which of them are poison."""

from __future__ import annotations

import pytest

from consumers.codec import Poison as Refusal
from consumers.codec import address_of, check_reply_to, history_of, open_envelope
from schemas import names
from tests.support.builders import NOW, make_delivery
from tests.support.poison import properties
from tests.support.poison.kinds import Poison, parametrized
from tests.support.poison.properties import REPLY_ADDRESSES

DAY = 86_400.0
KINDS = [
    *(properties.FORMS + properties.CALL_IDS + properties.COPIES),
    *(kind for kind in properties.DEADLINES if kind.name != "lark-deadline that is a timestamp"),
]


def deadline(**given: object) -> float:
    """Seconds from the first receipt until the deadline."""
    return open_envelope(make_delivery(**given)).deadline - NOW


def headers(**given: object) -> dict[str, object]:
    return {"headers": {name.replace("_", "-"): value for name, value in given.items()}}


@parametrized(KINDS)
def test_a_property_that_breaks_its_rule_is_poison(poison: Poison) -> None:
    with pytest.raises(Refusal) as refused:
        open_envelope(make_delivery(**poison.properties))
    assert (refused.value.type, refused.value.reason) == (poison.type, poison.reason)
    for word in poison.says:
        assert word in refused.value.message


@pytest.mark.parametrize("address", REPLY_ADDRESSES)
def test_a_forbidden_reply_address_is_poison_and_no_address(address: str) -> None:
    delivery = make_delivery(reply_to=address)
    with pytest.raises(Refusal, match="reply_to"):
        check_reply_to(delivery)
    assert address_of(delivery).reply_to is None


@pytest.mark.parametrize("address", [None, ""])
def test_no_reply_address_is_no_poison(address: str | None) -> None:
    delivery = make_delivery(reply_to=address)
    check_reply_to(delivery)
    assert address_of(delivery).reply_to is None


def test_a_call_with_an_answer_waited_for_has_60_seconds() -> None:
    assert deadline(reply_to="lark.reply.x") == 60


def test_a_call_that_nobody_waits_for_has_24_hours() -> None:
    assert deadline() == DAY
    assert deadline(reply_to="") == DAY


@pytest.mark.parametrize("given", [int((NOW + 5) * 1000), str(int((NOW + 5) * 1000))])
def test_the_deadline_header_counts_in_either_form(given: object) -> None:
    assert deadline(**headers(lark_deadline=given)) == 5
    assert deadline(reply_to="lark.reply.x", **headers(lark_deadline=given)) == 5


@pytest.mark.parametrize("given", [2**62, "9" * 40, "9" * 10_000, int((NOW + DAY + 1) * 1000)])
def test_more_than_24_hours_ahead_counts_as_24_hours(given: object) -> None:
    assert deadline(**headers(lark_deadline=given)) == DAY


@pytest.mark.parametrize("given", [0, "0", "000", 1])
def test_a_deadline_may_be_long_past(given: object) -> None:
    assert deadline(**headers(lark_deadline=given)) < -NOW + 1


def test_zeros_before_a_deadline_change_nothing() -> None:
    assert deadline(**headers(lark_deadline=f"{0:050}{int((NOW + 5) * 1000)}")) == 5


@pytest.mark.parametrize(("expiration", "seconds"), [("0", 0), ("1500", 1.5), ("9" * 20, DAY)])
def test_the_expiration_counts_from_the_first_receipt(expiration: str, seconds: float) -> None:
    assert deadline(expiration=expiration) == seconds


def test_the_earlier_of_two_deadlines_wins() -> None:
    soon = headers(lark_deadline=int((NOW + 5) * 1000))
    assert deadline(expiration="60000", **soon) == 5
    assert deadline(expiration="1000", **soon) == 1


def test_the_call_id_is_the_headers_before_the_message_ids() -> None:
    envelope = open_envelope(make_delivery(message_id="m", headers={"lark-call-id": "h"}))
    assert (envelope.call_id, envelope.id_given) == ("h", True)
    assert open_envelope(make_delivery(message_id="m")).call_id == "m"


def test_a_missing_call_id_is_made_up_for_each_delivery() -> None:
    one, two = (open_envelope(make_delivery()) for _ in range(2))
    assert one.call_id != two.call_id
    assert not one.id_given
    assert names.CALL_ID.fullmatch(one.call_id)


def test_an_unusable_call_id_leaves_the_rest_of_the_address() -> None:
    address = address_of(
        make_delivery(message_id="a b", reply_to="lark.reply.x", correlation_id="c")
    )
    assert (address.call_id, address.reply_to, address.correlation_id) == (
        None,
        "lark.reply.x",
        "c",
    )


def test_the_trace_context_is_taken_as_text() -> None:
    trace = {"traceparent": "00-a-b-01", "tracestate": "x=y"}
    assert address_of(make_delivery(headers=trace | {"other": "x"})).trace == trace
    assert address_of(make_delivery(headers={"traceparent": 7, "tracestate": b"\xff"})).trace == {}


FORGED = {
    "lark-first-seen": 1,
    "lark-attempts": 3,
    "lark-tries": 3,
    "lark-not-before": 2**61,
    "lark-not-after": 2**60,
    "lark-made-up-id": True,
    "lark-redelivered": True,
    "lark-origin-user": "somebody",
    "lark-member": "two",
}


def test_a_history_counts_for_nothing_from_a_producer() -> None:
    delivery = make_delivery(message_id="m", user_id="shop", headers=FORGED)
    history = history_of(delivery)
    assert (history.first_seen, history.attempts, history.tries) == (NOW, 0, 0)
    assert (history.not_before, history.producer, history.member) == (0.0, "shop", None)
    assert not history.redelivered
    assert open_envelope(delivery).id_given
    assert open_envelope(delivery).deadline == NOW + DAY


def test_a_history_counts_on_a_copy_of_the_gateways() -> None:
    delivery = make_delivery(message_id="m", exchange="lark.reenter", headers=FORGED)
    history = history_of(delivery)
    assert (history.first_seen, history.attempts, history.tries) == (0.001, 3, 3)
    assert (history.not_before, history.producer) == (2**61 / 1000, "somebody")
    assert history.redelivered
    assert history.member == "two"
    assert not open_envelope(delivery).id_given
    assert open_envelope(delivery).deadline == 2**60 / 1000


def test_a_history_that_is_none_is_none() -> None:
    odd = dict.fromkeys(FORGED, "x")
    history = history_of(make_delivery(exchange="lark.reenter", headers=odd))
    assert (history.first_seen, history.attempts, history.tries) == (NOW, 0, 0)
