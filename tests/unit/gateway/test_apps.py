from __future__ import annotations

import pytest
from pydantic import SecretStr

from gateway.apps import App, Apps
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
