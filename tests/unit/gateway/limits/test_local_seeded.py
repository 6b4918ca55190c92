"""The properties of the local share notice defects: each of these breaks one of them."""

from __future__ import annotations

from importlib.resources import files
from types import ModuleType
from typing import NamedTuple

import pytest

from tests.unit.gateway.limits import test_local_properties as properties

ENOUGH = 150
EXPORTS = {"local": ("LocalShare",), "ledger": ("Ledger",)}


class Defect(NamedTuple):
    """One place of a module as it is, and as a mistake would have it."""

    name: str
    module: str
    right: str
    wrong: str


DEFECTS = [
    Defect("the whole limit is shared", "local", "_SAFE = 0.8", "_SAFE = 1.0"),
    Defect("a share is rounded up", "local", "permits = int(", "permits = 1 + int("),
    Defect(
        "processes take no turns",
        "local",
        "if permits >= 1:\n        return Share(permits, span(window))",
        "if True:\n        return Share(max(permits, 1), span(window))",
    ),
    Defect(
        "all processes have one turn",
        "local",
        "turn * place.rank",
        "turn",
    ),
    Defect("a turn lasts until the next", "local", "turn * (1 - _SAFE)", "turn * 0.9"),
    Defect("a turn is too short", "local", "turn = span(window) /", "turn = 0.5 * span(window) /"),
    Defect("a turn never comes", "local", "self.cycle - into", "self.cycle"),
    Defect(
        "the margin of a share is dropped",
        "local",
        "Share(permits, span(",
        "Share(permits, 0.9 * span(",
    ),
    Defect("the ledger is not asked", "local", "ledger.used(now, share.seconds)", "0"),
    Defect(
        "the second window is not asked",
        "local",
        "for share, pace in paces.pairs:\n",
        "for share, pace in paces.pairs[:1]:\n",
    ),
    Defect(
        "the second bucket is not asked",
        "local",
        "for index, ledger in enumerate(ledgers):\n",
        "for index, ledger in enumerate(ledgers[:1]):\n",
    ),
    Defect(
        "what is refused costs a pace",
        "local",
        "await pace.acquire(granted)",
        "await pace.acquire(max(granted, 1) if pace.has_capacity(1) else 0)",
    ),
    Defect(
        "what is in no way is waited for",
        "local",
        "if allowed <= granted)",
        "if allowed < ask.want)",
    ),
    Defect("no wait is told", "local", "Grant(granted, 0.0, wait, ", "Grant(granted, 0.0, 0.0, "),
    Defect("every process has the places", "local", "% place.live != place.rank", "% 1 != 0"),
    Defect(
        "places are not counted", "local", "len(ledger.holders) < ledger.bucket.at_once", "True"
    ),
    Defect("a holder is refused its own place", "local", "holder in ledger.holders or ", ""),
    Defect(
        "a grain is dated at its beginning",
        "ledger",
        "math.ceil(now / grain) * grain",
        "math.floor(now / grain) * grain",
    ),
    Defect(
        "a permit leaves a window too soon",
        "ledger",
        "entry.at <= now - s",
        "entry.at <= now + 0.1 - s",
    ),
    Defect("entries are forgotten too soon", "ledger", "self._entries[0].at <= horizon", "True"),
    Defect(
        "a permit of a grain is lost", "ledger", "last.permits += permits", "last.permits = permits"
    ),
    Defect("the wait is for the newest entry", "ledger", "if total >= limit:", "if total >= 1:"),
]
PROPERTIES = [
    properties.test_the_ledger_counts_no_less_than_there_is_and_hardly_more,
    properties.test_no_share_and_no_fleet_exceeds_a_window_at_any_interleaving,
    properties.test_whoever_asks_again_when_told_gets_a_permit,
    properties.test_what_one_bucket_refuses_costs_the_other_nothing,
    properties.test_the_places_of_a_fleet_are_all_with_one_process,
    properties.test_after_all_windows_the_whole_share_is_there_again,
]


def with_defect(defect: Defect) -> ModuleType:
    """The module as the defect leaves it; everybody else has the right one still."""
    name = f"gateway.limits.{defect.module}"
    text = files("gateway.limits").joinpath(f"{defect.module}.py").read_text()
    assert text.count(defect.right) == 1
    module = ModuleType(name)
    module.__package__ = "gateway.limits"
    exec(compile(text.replace(defect.right, defect.wrong), name, "exec"), module.__dict__)  # noqa: S102
    return module


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name.replace(" ", "-"))
def test_a_defect_is_noticed(defect: Defect, monkeypatch: pytest.MonkeyPatch) -> None:
    module = with_defect(defect)
    for name in EXPORTS[defect.module]:
        monkeypatch.setattr(properties, name, getattr(module, name))
    monkeypatch.setattr(properties, "SEQUENCES", ENOUGH)
    broken = []
    for holds in PROPERTIES:
        loop = properties.VirtualLoop()
        try:
            holds(loop) if holds.__code__.co_argcount else holds()  # type: ignore[operator]
        except (AssertionError, ValueError):
            broken.append(holds.__name__)
            break
        finally:
            loop.close()
    assert broken
