"""Who may call what: everybody everything without grants, and only what is granted with them."""

from __future__ import annotations

import itertools

import pytest

from gateway.errors import Refused
from gateway.producer_grant_rows import Grant, read_apis
from gateway.producer_grants import ProducerGrants
from schemas.call import Call
from schemas.reply import ErrorType, Outcome
from tests.support.builders import dimensions
from tests.support.calls import change, invite, read, send

CALLS = {
    "GET /open-apis/contact/v3/users/:user_id": read(),
    "PUT /open-apis/im/v1/chats/:chat_id": change(),
    "POST /open-apis/im/v1/messages": send(),
    "POST /open-apis/im/v1/chats/:chat_id/members": invite(),
}
PRODUCERS, ALIASES = ("billing", "crm", "billing2", "Billing"), ("default", "hr", "default-2")


def grants(*rows: tuple[str, str, str], user_tokens: bool = False) -> ProducerGrants:
    made = ProducerGrants(dimensions())
    made.replace(Grant(who, alias, read_apis(api), user_tokens) for who, alias, api in rows)
    return made


def allows(made: ProducerGrants, producer: str | None, alias: str, call: object) -> bool:
    try:
        made.check(producer, alias, Call.model_validate(call), sent=False)
    except Refused as refused:
        return (refused.type, refused.outcome) != (ErrorType.FORBIDDEN, Outcome.NOT_EXECUTED)
    return True


def test_each_grant_opens_one_cell_and_nothing_else() -> None:
    cells = set(itertools.product(PRODUCERS, ALIASES, CALLS))
    for granted in cells:
        made = grants(granted)
        open_cells = {
            (who, alias, api) for who, alias, api in cells if allows(made, who, alias, CALLS[api])
        }
        assert open_cells == {granted}


def test_several_grants_add_up() -> None:
    made = grants(
        ("billing", "default", "POST /open-apis/im/*"),
        ("billing", "default", "GET /open-apis/contact/*"),
        ("crm", "hr", "*"),
    )
    assert allows(made, "billing", "default", send())
    assert allows(made, "billing", "default", read())
    assert not allows(made, "billing", "default", change())
    assert allows(made, "crm", "hr", change())
    assert not allows(made, "crm", "default", read())


def test_without_any_grant_everybody_may_call_everything() -> None:
    made = grants()
    assert allows(made, None, "default", send())
    made.replace([Grant("crm", "hr", read_apis("*"))])
    assert not allows(made, None, "default", send())
    assert not allows(made, "billing", "default", send())
    made.replace([])
    assert allows(made, None, "default", send())


def test_calls_in_the_name_of_a_user_need_their_own_word() -> None:
    as_user = read(**{"as": {"user": "ou_1"}})
    row = ("billing", "default", "*")
    assert not allows(grants(row), "billing", "default", as_user)
    assert allows(grants(row, user_tokens=True), "billing", "default", as_user)
    assert allows(grants(row, user_tokens=True), "billing", "default", read())


@pytest.mark.parametrize(
    "segment",
    ["search", "Search", "SEARCH", "x/../search", "../chats/search", "oc_1/members", "a/b"],
)
def test_a_parameter_leads_to_no_other_api(segment: str) -> None:
    made = grants(("billing", "default", "GET /open-apis/im/v1/chats/:chat_id"))
    call = {"method": "GET", "path": "/open-apis/im/v1/chats/:id", "path_params": {"id": segment}}
    assert not allows(made, "billing", "default", call)


@pytest.mark.parametrize("segment", ["oc_1", "OC_aB", "a b", "a.b", "文", "a%2Fb"])
def test_a_parameter_may_be_any_other_word(segment: str) -> None:
    made = grants(("billing", "default", "GET /open-apis/im/v1/chats/:chat_id"))
    call = {"method": "GET", "path": "/open-apis/im/v1/chats/:id", "path_params": {"id": segment}}
    assert allows(made, "billing", "default", call)


def test_a_parameter_does_not_lead_out_of_what_lies_below_a_path() -> None:
    made = grants(("billing", "default", "* /open-apis/im/*"))
    out = {
        "method": "GET",
        "path": "/open-apis/im/v1/chats/:id",
        "path_params": {"id": "../../../contact/v3/users/ou_1"},
    }
    assert not allows(made, "billing", "default", out)


def test_a_refusal_says_who_what_and_how_it_is_allowed() -> None:
    made = grants(("crm", "hr", "*"))
    with pytest.raises(Refused) as refused:
        made.check("bil'ling", "default", Call.model_validate(read()), sent=False)
    told = refused.value.message
    for word in ("bil'ling", "GET /open-apis/contact/v3/users/:user_id", "'default'"):
        assert word in told
    assert (
        """lark-service producer grant 'bil'"'"'ling' --app default """
        "--api 'GET /open-apis/contact/v3/users/:user_id'"
    ) in told
    with pytest.raises(Refused, match="--user-tokens"):
        made.check("a", "default", Call.model_validate(read(**{"as": {"user": "u"}})), sent=False)
    with pytest.raises(Refused, match="user_id"):
        made.check(None, "default", Call.model_validate(read()), sent=False)


def test_of_what_may_have_been_sent_it_is_not_said_that_it_was_not() -> None:
    made = grants(("crm", "hr", "*"))
    with pytest.raises(Refused) as refused:
        made.check("billing", "default", Call.model_validate(send()), sent=True)
    assert refused.value.type is ErrorType.OUTCOME_UNKNOWN
    assert refused.value.outcome is Outcome.UNKNOWN
