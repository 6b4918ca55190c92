"""Whose queues are declared and consumed, as apps and pools come and go."""

from __future__ import annotations

from dataclasses import replace

from consumers.app_queues import AppQueues
from consumers.topology import Topology
from gateway.apps import App, Apps, AppStatus, Pool
from tests.support.builders import APP

SHOP = replace(APP, alias="shop")
SHOP_QUEUES = ("lark.calls.shop.interactive", "lark.calls.shop.bulk", "lark.calls.shop.retry")


def following(*apps: App, pools: tuple[Pool, ...] = ()) -> tuple[Apps, AppQueues]:
    known = Apps(apps, pools)
    return known, AppQueues(known)


def consumed(queues: AppQueues) -> list[str]:
    return [queue for source in queues.sources().values() for queue in source.queues]


def declared(queues: AppQueues) -> list[str]:
    topologies = [source.topology for source in queues.sources().values()]
    found = [queue.name for each in topologies if each is not None for queue in each.queues]
    shared = {queue.name for queue in Topology.shared().queues}
    return [name for name in found if name not in shared]


def test_both_lanes_and_the_way_back_of_each_app_and_pool_are_consumed() -> None:
    _, queues = following(SHOP, pools=(Pool("all", ("shop",)),))
    assert set(consumed(queues)) == {
        *SHOP_QUEUES,
        *(queue.replace("shop", "all") for queue in SHOP_QUEUES),
    }
    assert set(declared(queues)) == set(consumed(queues))


def test_disabled_apps_keep_their_queues() -> None:
    _, queues = following(replace(SHOP, status=AppStatus.DISABLED))
    assert tuple(consumed(queues)) == SHOP_QUEUES


def test_what_is_removed_is_consumed_but_not_declared_until_its_queues_are_gone() -> None:
    apps, queues = following(APP, SHOP)
    assert set(SHOP_QUEUES) < set(consumed(queues))
    apps.replace([APP, replace(SHOP, status=AppStatus.REMOVED)])
    assert queues.leaving == {"shop"}
    assert set(SHOP_QUEUES) < set(consumed(queues))
    assert not set(SHOP_QUEUES) & set(declared(queues))
    assert queues.leave("shop", [SHOP_QUEUES[0]])
    assert not queues.leave("shop", [SHOP_QUEUES[0]])
    assert set(SHOP_QUEUES) & set(consumed(queues)) == {SHOP_QUEUES[0]}
    assert queues.aliases == {"default", "shop"}
    queues.forget("shop")
    assert not set(SHOP_QUEUES) & set(consumed(queues))
    apps.replace([APP])
    assert queues.leaving == frozenset()
    assert queues.aliases == {"default"}


def test_a_removed_pool_leaves_as_an_app_does() -> None:
    _, queues = following(APP, pools=(Pool("all", ("default",), removed=True),))
    assert queues.leaving == {"all"}


def test_what_was_purged_unseen_still_leaves_if_it_was_declared_here() -> None:
    apps, queues = following(APP, SHOP)
    queues.sources()
    apps.replace([APP])
    assert queues.leaving == {"shop"}
    assert set(SHOP_QUEUES) < set(consumed(queues))


def test_an_alias_that_comes_back_is_declared_anew_under_another_name() -> None:
    apps, queues = following(APP, SHOP)
    before = queues.sources().keys()
    apps.replace([APP, replace(SHOP, status=AppStatus.REMOVED)])
    assert "shop" not in queues.sources()
    apps.replace([APP, SHOP])
    assert queues.sources().keys() == before
    assert set(SHOP_QUEUES) < set(declared(queues))
