"""Messages, and the keys by which Feishu discards repeats."""

import asyncio
from typing import Any

import pytest

from tests.support.feishu import OTHER_APP, OTHER_SECRET, SEND, Feishu, until

CARD = {"msg_type": "interactive", "content": '{"elements":[]}'}


async def test_a_message_comes_back_as_it_was_sent(feishu: Feishu) -> None:
    sent = (await feishu.send("oc_a", "hello")).data
    assert sent["message_id"].startswith("om_")
    assert sent["chat_id"] == "oc_a"
    assert sent["body"] == {"content": '{"text":"hello"}'}
    assert sent["sender"]["id"] == "cli_sandbox0000000001"
    assert sent["create_time"] == "1800000000000"
    got = (await feishu.call("GET", f"{SEND}/{sent['message_id']}")).data
    assert got["items"] == [sent]


@pytest.mark.parametrize(
    ("id_type", "changes", "code"),
    [
        ("", {}, 99992402),
        ("nonsense", {}, 99992402),
        ("chat_id", {"receive_id": None}, 99992402),
        ("chat_id", {"msg_type": None}, 99992402),
        ("chat_id", {"msg_type": "poem"}, 230001),
        ("chat_id", {"content": None}, 99992402),
        ("chat_id", {"content": {"text": "an object, no string"}}, 99992402),
        ("chat_id", {"content": "no json"}, 230001),
        ("chat_id", {"content": '"json, but no object"'}, 230001),
        ("chat_id", {"content": '{"text":"' + "x" * 150_000 + '"}'}, 230025),
        ("chat_id", {"uuid": "x" * 51}, 99992402),
        ("chat_id", {"msg_type": "image", "content": '{"image_key":"img_no"}'}, 230001),
    ],
)
async def test_a_wrong_message_is_refused(
    feishu: Feishu, id_type: str, changes: dict[str, Any], code: int
) -> None:
    body = {"receive_id": "oc_a", "msg_type": "text", "content": '{"text":"a"}', **changes}
    params = {"receive_id_type": id_type} if id_type else {}
    got = await feishu.call("POST", SEND, params=params, json=body)
    assert (got.status, got.code) == (400, code)
    assert await feishu.control("GET", "messages") == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(feishu: Feishu, body: bytes) -> None:
    got = await feishu.call("POST", SEND, params={"receive_id_type": "chat_id"}, data=body)
    assert (got.status, got.code) == (400, 9499)


async def test_a_reply_goes_to_the_chat_of_its_message(feishu: Feishu) -> None:
    parent = (await feishu.send("oc_a")).data["message_id"]
    reply = {"msg_type": "text", "content": '{"text":"re"}'}
    data = (await feishu.call("POST", f"{SEND}/{parent}/reply", json=reply)).data
    assert (data["parent_id"], data["chat_id"]) == (parent, "oc_a")
    assert (await feishu.call("POST", f"{SEND}/om_no/reply", json=reply)).code == 230001


async def test_text_is_edited_by_put_and_cards_are_replaced_by_patch(feishu: Feishu) -> None:
    text = (await feishu.send()).data["message_id"]
    card = (await feishu.send(**CARD)).data["message_id"]
    edit = {"msg_type": "text", "content": '{"text":"b"}'}
    got = await feishu.call("PUT", f"{SEND}/{text}", json=edit)
    assert got.data["body"]["content"] == '{"text":"b"}'
    assert got.data["updated"] is True
    assert (await feishu.call("PATCH", f"{SEND}/{card}", json={"content": "{}"})).code == 0
    assert (await feishu.call("PATCH", f"{SEND}/{text}", json={"content": "{}"})).code == 230001
    assert (await feishu.call("PUT", f"{SEND}/om_no", json=edit)).code == 230001


async def test_a_card_is_patched_at_most_five_times_a_second(feishu: Feishu) -> None:
    card = f"{SEND}/{(await feishu.send(**CARD)).data['message_id']}"
    codes = [(await feishu.call("PATCH", card, json={"content": "{}"})).code for _ in range(6)]
    assert codes == [0] * 5 + [230020]


async def test_a_recalled_message_cannot_be_answered_nor_anothers_recalled(
    feishu: Feishu,
) -> None:
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    path = f"{SEND}/{(await feishu.send()).data['message_id']}"
    assert (await feishu.call("DELETE", path, token=other)).code == 230001
    assert (await feishu.call("DELETE", path)).code == 0
    assert (await feishu.call("GET", path)).data["items"][0]["deleted"] is True
    assert (await feishu.call("POST", f"{path}/reply", json=CARD)).code == 230001


async def test_the_same_uuid_within_an_hour_is_one_message(feishu: Feishu) -> None:
    first = (await feishu.send(uuid="key-1")).json
    feishu.clock.turn(3599)
    assert (await feishu.send(uuid="key-1")).json == first
    assert (await feishu.send(uuid="key-2")).json != first
    assert await feishu.control("GET", "effects") == {"key-1": 1, "key-2": 1}
    feishu.clock.turn(1)
    assert (await feishu.send(uuid="key-1")).json != first
    assert await feishu.control("GET", "effects", repeated=1) == {"key-1": 2}


async def test_the_same_uuid_of_another_app_is_another_message(feishu: Feishu) -> None:
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    first = (await feishu.send(uuid="key-1")).data["message_id"]
    assert (await feishu.send(uuid="key-1", token=other)).data["message_id"] != first


async def test_a_failed_send_leaves_its_uuid_free(feishu: Feishu) -> None:
    assert (await feishu.send(uuid="key-1", content="no json")).code == 230001
    assert (await feishu.send(uuid="key-1")).code == 0


async def test_a_uuid_whose_message_is_on_its_way_is_refused(feishu: Feishu) -> None:
    first = asyncio.create_task(feishu.send("sim_slow_2s", uuid="key-1"))
    await until(lambda: feishu.world.ledger.effects["key-1"] == 1)
    got = await feishu.send(uuid="key-1")
    assert (got.status, got.code) == (400, 230049)
    message = (await first).data
    assert (await feishu.send(uuid="key-1")).data == message
    assert await feishu.control("GET", "effects") == {"key-1": 1}


async def test_sends_without_a_uuid_are_counted_by_their_body(feishu: Feishu) -> None:
    ids = {(await feishu.send(text="twice")).data["message_id"] for _ in range(2)}
    assert len(ids) == 2
    assert list((await feishu.control("GET", "effects", repeated=1)).values()) == [2]


async def test_stored_messages_are_listed_by_receiver(feishu: Feishu) -> None:
    for to in ("oc_a", "oc_b", "oc_a"):
        await feishu.send(to)
    assert len(await feishu.control("GET", "messages", receive_id="oc_a")) == 2
    assert len(await feishu.control("GET", "messages", limit=2)) == 2
    body = {"receive_id": "ou_x", "msg_type": "text", "content": '{"text":"a"}'}
    await feishu.call("POST", SEND, params={"receive_id_type": "open_id"}, json=body)
    assert len(await feishu.control("GET", "messages", receive_id="ou_x")) == 1
