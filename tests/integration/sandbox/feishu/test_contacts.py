"""Users and the bot."""

import pytest

from tests.support.feishu import Feishu

USERS = "/open-apis/contact/v3/users"


@pytest.mark.parametrize(
    ("id_type", "user_id"), [("open_id", "ou_a"), ("union_id", "on_a"), ("user_id", "a")]
)
async def test_a_user_is_found_by_each_kind_of_id(
    feishu: Feishu, id_type: str, user_id: str
) -> None:
    got = await feishu.call("GET", f"{USERS}/{user_id}", params={"user_id_type": id_type})
    assert got.data["user"][id_type] == user_id
    assert got.data["user"]["open_id"].startswith("ou_")


async def test_an_id_of_the_wrong_kind_is_refused(feishu: Feishu) -> None:
    assert (await feishu.call("GET", f"{USERS}/on_a")).code == 99992351
    got = await feishu.call("GET", f"{USERS}/ou_a", params={"user_id_type": "number"})
    assert got.code == 99992402
    assert got.json["error"]["field_violations"][0]["field"] == "user_id_type"


async def test_an_encoded_id_is_decoded(feishu: Feishu) -> None:
    got = await feishu.call("GET", f"{USERS}/ou_a%40b")
    assert got.data["user"]["open_id"] == "ou_a@b"


async def test_ids_are_found_by_mail_and_number(feishu: Feishu) -> None:
    body = {"emails": ["a@b.invalid"], "mobiles": ["+49123"]}
    path = f"{USERS}/batch_get_id"
    found = (await feishu.call("POST", path, json=body)).data["user_list"]
    assert [sorted(row) for row in found] == [["email", "user_id"], ["mobile", "user_id"]]
    again = (await feishu.call("POST", path, json=body)).data["user_list"]
    assert again == found
    assert (await feishu.call("POST", path, json={"emails": ["x"] * 51})).code == 99992402
    assert (await feishu.call("POST", path, json={"emails": "x"})).code == 9499


async def test_the_bot_stands_beside_the_code(feishu: Feishu) -> None:
    answer = (await feishu.call("GET", "/open-apis/bot/v3/info")).json
    assert answer["code"] == 0
    assert answer["bot"]["open_id"].startswith("ou_")
    assert "data" not in answer
