"""The schedule of faults: made again by its seed, and of everything something."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.chaos.calls import CLASSES, REPLIES, Call, find_id
from tests.chaos.faults import FAULTS
from tests.chaos.nemesis import KINDS, PAIRS, Plan, schedule
from tests.chaos.profiles import OVERLAP, SMOKE, SOAK, Shape, matrix

HOUR = Plan(3600, every=6, slots=3)


def test_every_fault_can_be_carried_out() -> None:
    assert FAULTS.keys() == KINDS.keys()


def test_a_seed_makes_the_same_schedule_again_and_another_one_another() -> None:
    assert schedule(7, HOUR) == schedule(7, HOUR)
    assert schedule(7, HOUR) != schedule(8, HOUR)


def test_every_fault_strikes_as_often_as_its_share() -> None:
    strikes = schedule(7, replace(HOUR, pairs=0.0))
    struck = Counter(strike.fault for strike in strikes)
    total = sum(kind.weight for kind in KINDS.values())
    for name, kind in KINDS.items():
        assert abs(struck[name] - len(strikes) * kind.weight / total) <= 1, name


def test_strikes_are_in_order_and_within_their_time() -> None:
    strikes = schedule(7, HOUR)
    assert [strike.at for strike in strikes] == sorted(strike.at for strike in strikes)
    assert all(0 < strike.at < HOUR.seconds + 1 for strike in strikes)
    assert {strike.slot for strike in strikes} == {-1, 0, 1, 2}


def test_pairs_strike_together_and_the_same_gateway() -> None:
    strikes = OVERLAP.strikes(7)
    assert {strike.fault for strike in strikes} == {
        name for pair in PAIRS.values() for name in pair
    }
    emptied = [strike for strike in strikes if strike.fault == "redis emptied"]
    kills = [strike.at for strike in strikes if strike.fault == "kill"]
    assert all(any(0 <= kill - strike.at <= 0.1 for kill in kills) for strike in emptied)


@pytest.mark.parametrize("shape", matrix(), ids=lambda shape: str(shape.name))
def test_a_family_of_the_matrix_is_alone(shape: Shape) -> None:
    (family,) = shape.plan.families
    names = {strike.fault for strike in shape.strikes(7)}
    words = {"process": {"kill", "terminate", "pause"}}.get(family, {family})
    words |= {"amqp": {"connections", "broker", "memory"}, "feishu": {"tokens"}}.get(family, set())
    doubled = {name for pair in PAIRS.values() for name in pair}
    assert {name for name in names if name.split()[0] not in words} <= doubled


def test_the_soak_is_as_hard_as_it_says() -> None:
    strikes = SOAK.strikes(7)
    kills = sum(strike.fault == "kill" for strike in strikes)
    assert kills >= 100
    assert len(strikes) - kills >= 200
    assert SOAK.load.calls >= 200_000


def test_the_smoke_has_some_of_every_family() -> None:
    words = {strike.fault.split()[0] for strike in SMOKE.strikes(1)}
    assert words >= {"kill", "pause", "amqp", "redis", "postgres", "feishu", "broker", "memory"}


@pytest.mark.parametrize("klass", CLASSES)
@pytest.mark.parametrize("reply", REPLIES)
def test_an_id_says_all_about_its_call(klass: str, reply: str) -> None:
    call = Call("r1", 7, 12, klass, "bulk", reply, "second", 20)  # type: ignore[arg-type]
    assert Call.parse(call.id) == call
    assert find_id(f"/open-apis/x/ou_{call.id}/y") == call.id


def test_an_id_of_somebody_else_is_none() -> None:
    with pytest.raises(ValueError, match="no id of a chaos call"):
        Call.parse("order-4711")
