"""What one chat, user or message takes in a second."""

from typing import Any

import pytest

from tests.support.feishu import SEND, Feishu, Got

TEXT = {"msg_type": "text", "content": '{"text":"hi"}'}
CARD = {"msg_type": "interactive", "content": '{"elements":[]}'}


async def to_user(feishu: Feishu, user: str, id_type: str = "open_id") -> Got:
    body = {"receive_id": user, **TEXT}
    return await feishu.call("POST", SEND, params={"receive_id_type": id_type}, json=body)


async def patch(feishu: Feishu, message_id: str) -> Got:
    body = {"content": '{"elements":[{}]}'}
    return await feishu.call("PATCH", f"{SEND}/{message_id}", json=body)


async def subjects(feishu: Feishu, **query: Any) -> Any:
    return (await feishu.control("GET", "stats", **query))["subjects"]


@pytest.mark.parametrize("id_type", ["open_id", "user_id", "union_id", "email"])
async def test_one_user_takes_five_messages_a_second(feishu: Feishu, id_type: str) -> None:
    codes = [(await to_user(feishu, "u1", id_type)).code for _ in range(6)]
    assert codes == [0] * 5 + [230020]
    got = await to_user(feishu, "u1", id_type)
    assert (got.status, got.json["msg"].endswith("ext=chat rate limit.")) == (400, True)
    assert (await to_user(feishu, "u2", id_type)).code == 0
    feishu.clock.turn(1)
    assert (await to_user(feishu, "u1", id_type)).code == 0


async def test_a_reply_counts_for_the_user_to_whom_the_message_went(feishu: Feishu) -> None:
    sent = [(await to_user(feishu, "ou_a")).data for _ in range(4)]
    path = f"{SEND}/{sent[0]['message_id']}/reply"
    codes = [(await feishu.call("POST", path, json=TEXT)).code for _ in range(2)]
    assert codes == [0, 230020]
    assert (await feishu.send(sent[0]["chat_id"])).code == 230020
    assert list(await subjects(feishu)) == ["user"]


async def test_a_message_takes_five_edits_a_second_apart_from_its_chats_sends(
    feishu: Feishu,
) -> None:
    first, *_ = [(await feishu.send("oc_a", **CARD)).data["message_id"] for _ in range(5)]
    assert [(await patch(feishu, first)).code for _ in range(6)] == [0] * 5 + [230020]


async def test_edits_can_be_told_to_count_against_the_chat(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"changes_count": "chat"})
    first, *_ = [(await feishu.send("oc_a", **CARD)).data["message_id"] for _ in range(4)]
    assert [(await patch(feishu, first)).code for _ in range(2)] == [0, 230020]


async def test_each_kind_of_receiver_has_a_limit_to_set(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"subjects": {"user": "1/1", "chat": ""}})
    assert [(await to_user(feishu, "ou_a")).code for _ in range(2)] == [0, 230020]
    assert [(await feishu.send("oc_a")).code for _ in range(7)] == [0] * 7
    shown = (await feishu.control("GET", "state"))["limits"]["subjects"]
    assert (shown["user"], shown["chat"], shown["message"]) == ("1/1", "", "5/1")
    await feishu.control("POST", "limits", {"subjects": {"user": None}})
    assert [(await to_user(feishu, "ou_a")).code for _ in range(5)] == [0] * 5


async def test_statistics_name_the_most_used_receivers(feishu: Feishu) -> None:
    for chat, count in (("oc_quiet", 1), ("oc_busy", 7), ("oc_middling", 3)):
        for _ in range(count):
            await feishu.send(chat)
    chats = (await subjects(feishu, top=2))["chat"]
    assert {name: chats[name] for name in ("accepted", "rejected")} == {
        "accepted": 9,
        "rejected": 2,
    }
    assert [row["id"] for row in chats["top"]] == ["oc_busy", "oc_middling"]
    assert chats["top"][0] | {"id": ""} == {
        "id": "",
        "busy": 0,
        "accepted": 5,
        "rejected": 2,
        "most_in_window": {"1": 5, "60": 5},
    }
    await to_user(feishu, "ou_a")
    assert (await subjects(feishu))["user"]["top"][0]["id"] == "ou_a"


async def test_receivers_long_idle_are_forgotten(feishu: Feishu) -> None:
    room = feishu.world.subjects
    room._room = 3
    for n in range(3):
        await feishu.send(f"oc_{n}")
    feishu.clock.turn(60)
    await feishu.send("oc_new")
    chats = (await subjects(feishu))["chat"]
    assert [row["id"] for row in chats["top"]] == ["oc_new"]
    assert chats["accepted"] == 4
