"""Updates of a card: in the order of their sequence, each uuid for one of them."""

from typing import Any

import pytest

from tests.support.feishu import Feishu, Got

CARDS = "/open-apis/cardkit/v1/cards"


async def update(feishu: Feishu, sequence: Any, card: str = "c1", **fields: Any) -> Got:
    body = {"card": {"type": "card_json", "data": "{}"}, "sequence": sequence, **fields}
    return await feishu.call("PUT", f"{CARDS}/{card}", json=body)


async def test_a_sequence_must_be_above_the_cards_last(feishu: Feishu) -> None:
    codes = [(await update(feishu, sequence)).code for sequence in (3, 3, 2, 4)]
    assert codes == [0, 300317, 300317, 0]
    assert (await update(feishu, 1, "c2")).code == 0
    cards = await feishu.control("GET", "cards")
    assert cards["c1"] == {"sequence": 4, "updates": 2, "refused": 2}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "settings"),
        ("POST", "batch_update"),
        ("POST", "elements"),
        ("PUT", "elements/e1"),
        ("PATCH", "elements/e1"),
        ("DELETE", "elements/e1"),
        ("PUT", "elements/e1/content"),
    ],
)
async def test_all_updates_of_a_card_share_its_sequence(
    feishu: Feishu, method: str, path: str
) -> None:
    await update(feishu, 5)
    codes = [
        (await feishu.call(method, f"{CARDS}/c1/{path}", json={"sequence": sequence})).code
        for sequence in (5, 6)
    ]
    assert codes == [300317, 0]
    assert (await update(feishu, 6)).code == 300317


async def test_a_created_card_begins_below_one(feishu: Feishu) -> None:
    body = {"type": "card_json", "data": "{}"}
    card = (await feishu.call("POST", CARDS, json=body)).data["card_id"]
    assert [(await update(feishu, n, card)).code for n in (0, 1)] == [300317, 0]


@pytest.mark.parametrize("sequence", [None, "1", True, 1.5])
async def test_a_sequence_is_required(feishu: Feishu, sequence: Any) -> None:
    assert (await update(feishu, sequence)).code == 99992402


async def test_a_repeated_uuid_acts_once(feishu: Feishu) -> None:
    codes = [(await update(feishu, 1, uuid="u1")).code for _ in range(2)]
    assert codes == [0, 0]
    assert (await feishu.control("GET", "cards"))["c1"]["updates"] == 1


async def test_a_uuid_with_other_content_or_for_another_card_is_refused(feishu: Feishu) -> None:
    await update(feishu, 1, uuid="u1")
    assert (await update(feishu, 2, uuid="u1")).code == 200770
    assert (await update(feishu, 1, "c2", uuid="u1")).code == 200770
    assert (await update(feishu, 2, uuid="u" * 65)).code == 99992402


async def test_an_out_of_order_update_frees_its_uuid(feishu: Feishu) -> None:
    await update(feishu, 5)
    assert (await update(feishu, 5, uuid="u1")).code == 300317
    assert (await update(feishu, 6, uuid="u1")).code == 0


async def test_the_order_can_be_ignored(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"card_sequence": False})
    assert [(await update(feishu, n)).code for n in (2, 1)] == [0, 0]
    assert (await feishu.control("GET", "cards"))["c1"]["sequence"] == 2
