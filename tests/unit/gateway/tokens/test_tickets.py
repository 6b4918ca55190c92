"""What an event receiver may hand in as an app ticket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.tokens.tickets import NoTicket, read_ticket

APP_ID = "cli_1"
TICKET = "0a1b2c3d4e5f"
FIRST = {
    "ts": "1502199207.7171419",
    "uuid": "bc447199585340d1f3728d26b1c0297a",
    "token": "41a9425ea7df4536a7623e38fa321bae",
    "type": "event_callback",
    "event": {"app_id": APP_ID, "app_ticket": TICKET, "type": "app_ticket"},
}
SECOND = {
    "schema": "2.0",
    "header": {"event_id": "e", "event_type": "app_ticket", "app_id": APP_ID, "token": "v"},
    "event": {"app_ticket": TICKET},
}


def changed(event: dict[str, Any], part: str, **fields: Any) -> dict[str, Any]:
    return {**event, part: {**event[part], **fields}}


@pytest.mark.parametrize(
    "text", [TICKET, f"  {TICKET}\n", json.dumps(FIRST), json.dumps(SECOND, indent=1) + "\n"]
)
def test_a_ticket_comes_alone_or_in_feishus_event(text: str) -> None:
    assert read_ticket(text, APP_ID) == TICKET


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (changed(FIRST, "event", app_id="cli_2"), "for the app 'cli_2', not for cli_1"),
        (changed(SECOND, "header", app_id="cli_2"), "for the app 'cli_2', not for cli_1"),
        (changed(FIRST, "event", app_id=None), "for the app 'None'"),
        (changed(FIRST, "event", type="app_open"), "no app_ticket event"),
        (changed(SECOND, "header", event_type="im.message.receive_v1"), "no app_ticket event"),
        ({"challenge": "x", "type": "url_verification"}, "no app_ticket event"),
        ({"event": 7, "header": []}, "no app_ticket event"),
        ({"encrypt": "FIAfJPGRmFZWkaxPQ1XrJZVbv2JwdjfLk4jx0k"}, "encrypted"),
        (changed(FIRST, "event", app_ticket=None), "no app ticket"),
        (changed(FIRST, "event", app_ticket=""), "no app ticket"),
        (changed(FIRST, "event", app_ticket={"a": 1}), "no app ticket"),
    ],
)
def test_an_event_that_brings_no_ticket_of_this_app_is_named(document: Any, says: str) -> None:
    with pytest.raises(NoTicket, match=says):
        read_ticket(json.dumps(document), APP_ID)


@pytest.mark.parametrize("text", ["", "  ", "{", "two words", "tick\u00e9t", "x" * 2000, "a\nb"])
def test_what_could_be_no_ticket_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(NoTicket) as refused:
        read_ticket(text, APP_ID)
    assert not text.strip() or len(text) < 3 or text not in str(refused.value)


def test_no_message_repeats_the_ticket() -> None:
    stranger = changed(FIRST, "event", app_id="cli_2")
    with pytest.raises(NoTicket) as refused:
        read_ticket(json.dumps(stranger), APP_ID)
    assert TICKET not in f"{refused.value!r} {refused.value.__cause__!r}"
