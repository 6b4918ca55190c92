from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr

from gateway.apps import App, Apps, Pool
from gateway.errors import Refused
from schemas.reply import ErrorType

DEFAULT = App("default", "cli_1", SecretStr("top-secret"), "https://open.feishu.cn")


def test_an_app_is_found_by_its_alias() -> None:
    assert Apps([DEFAULT]).get("default") is DEFAULT
    assert list(Apps([DEFAULT])) == [DEFAULT]


def test_an_unknown_alias_is_refused_as_unrouted() -> None:
    with pytest.raises(Refused) as caught:
        Apps([DEFAULT]).get("other")
    assert caught.value.type is ErrorType.UNROUTED


def test_an_app_does_not_show_its_secret() -> None:
    assert "top-secret" not in f"{DEFAULT} {DEFAULT!r}"


def test_one_app_is_exchanged_and_all_others_stay_and_who_wants_to_know_is_told() -> None:
    other, pool = replace(DEFAULT, alias="other"), Pool("pool", ("other",))
    apps, told = Apps([DEFAULT, other], [pool]), list[str]()
    apps.on_change(lambda: told.append("changed"))
    renewed = replace(DEFAULT, secret=SecretStr("another"))
    apps.put(renewed)
    assert apps.get("default") is renewed
    assert apps.get("other") is other
    assert apps.pools == (pool,)
    assert told == ["changed"]


def test_what_waited_with_an_app_goes_on_with_its_present_secret_or_with_its_own() -> None:
    apps = Apps([DEFAULT])
    old = replace(DEFAULT, secret=SecretStr("older"))
    assert apps.current(old) is DEFAULT
    gone = replace(DEFAULT, alias="gone")
    assert apps.current(gone) is gone
