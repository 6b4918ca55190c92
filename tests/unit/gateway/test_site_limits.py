from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.limit_rules import Cap
from gateway.site_limits import AppLimits, LimitsError, SiteLimits, load_limits_file
from schemas.apis import Window


def written(folder: Path, text: str) -> Path:
    path = folder / "limits.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_limits_file_holds_windows_by_api(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[limits]\n"POST /open-apis/im/v1/messages" = "2000/60;100/1"\n'
        '"GET /open-apis/im/v1/chats" = " 5/1 "\n',
    )
    read = load_limits_file(path)
    assert (dict(read.apps), dict(read.resources), read.source) == ({}, {}, str(path))
    assert read.limits == {
        "POST /open-apis/im/v1/messages": (Window(2000, 60), Window(100, 1)),
        "GET /open-apis/im/v1/chats": (Window(5, 1),),
    }


def test_a_limits_file_caps_an_app_and_overrides_its_apis(tmp_path: Path) -> None:
    text = (
        '[apps.shop]\ntotal = "1000/60"\n[apps.shop.limits]\n"GET /open-apis/im/v1/chats" = "5/1"\n'
    )
    assert load_limits_file(written(tmp_path, text + "[apps.b]\n")).apps == {
        "shop": AppLimits(
            total=(Window(1000, 60),), limits={"GET /open-apis/im/v1/chats": (Window(5, 1),)}
        ),
        "b": AppLimits(),
    }


@pytest.mark.parametrize(
    ("entry", "cap"),
    [
        ('chat = "10/1"', Cap((Window(10, 1),))),
        ("chat = 2", Cap(at_once=2)),
        ('chat = {at_once = 1, windows = "9/60;2/1"}', Cap((Window(9, 60), Window(2, 1)), 1)),
        ("chat = {at_once = 3}", Cap(at_once=3)),
        ('chat = {windows = "9/60"}', Cap((Window(9, 60),))),
        ('chat = "none"', None),
    ],
)
def test_a_limits_file_sets_or_lifts_the_limit_of_a_kind(
    tmp_path: Path, entry: str, cap: Cap | None
) -> None:
    read = load_limits_file(written(tmp_path, f"[resources]\n{entry}\n"))
    assert read.resources == {"chat": cap}


@pytest.mark.parametrize("text", ["", "[limits]\n", "# nothing\n"])
def test_a_limits_file_may_be_empty(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    assert load_limits_file(path) == SiteLimits(source=str(path))


def test_without_a_file_nothing_is_set() -> None:
    assert load_limits_file(None) == SiteLimits()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[limits", "is no TOML file: "),
        ("limits = 5\n", "limits must be a table, [limits]"),
        ("[limit]\n", "the file has 'limit', but may hold only limits, apps, resources"),
        ('"GET /a" = "5/1"\n', "the file has 'GET /a', but may hold only limits, apps, resources"),
        ("apps = 5\n", "apps must be a table, [apps]"),
        ("apps.a = 5\n", "apps.a must be a table, [apps.a]"),
        ("apps.a.limits = 5\n", "apps.a.limits must be a table, [apps.a.limits]"),
        ("resources = 5\n", "resources must be a table, [resources]"),
        ("[apps.a]\nall = 1\n", "[apps.a] has 'all', but may hold only total, limits"),
        ("[apps.A]\n", "[apps] 'A': is no alias of an app"),
        ("[resources]\nroom = 1\n", "[resources] has 'room', but may hold only chat, user, "),
        ("[resources]\napi = 1\n", "[resources] has 'api', but may hold only chat, user, "),
        (
            "[resources]\ntable = {at = 1}\n",
            "[resources] 'table': has 'at', but may hold only windows, at_once",
        ),
        (
            "[resources]\ntable = {}\n",
            "[resources] 'table': is empty; may hold only windows, at_once",
        ),
        ("[resources]\ntable = 0\n", "[resources] 'table': 0 is no limit, write calls at once"),
        ("[resources]\ntable = true\n", "[resources] 'table': True is no limit, write calls at"),
        ("[resources]\ntable = 1.5\n", "[resources] 'table': 1.5 is no limit, write calls at"),
        ("[resources]\ntable = 'off'\n", "[resources] 'table': 'off' is no limit, write requests"),
        ("[resources]\ntable = {windows = 5}\n", "[resources] 'table': '5' is no limit, write"),
    ],
)
def test_a_file_that_is_no_limits_file_is_refused_by_name(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(LimitsError) as caught:
        load_limits_file(path)
    assert str(caught.value).startswith(f"{path}: {complaint}")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LimitsError, match="is no TOML file"):
        load_limits_file(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LimitsError, match=r"none\.toml: cannot be read: No such file"):
        load_limits_file(tmp_path / "none.toml")


def test_every_wrong_entry_is_named_by_file_table_and_key_with_what_to_write(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        '[limits]\n"GET /a" = "fast"\n"GET /b" = "5/1"\n"GET /c" = 5\n'
        '[apps.shop]\ntotal = "much"\n[apps.shop.limits]\n"GET /d" = "0/1"\n'
        "[resources]\ntable = -1\nrooms = 1\n",
    )
    form = "is no limit, write requests/seconds such as 50/1"
    with pytest.raises(LimitsError) as caught:
        load_limits_file(path)
    assert str(caught.value).split("\n") == [
        f"{path}: [limits] 'GET /a': 'fast' {form}",
        f"{path}: [limits] 'GET /c': '5' {form}",
        f"{path}: [apps.shop] 'total': 'much' {form}",
        f"{path}: [apps.shop.limits] 'GET /d': '0/1' {form}",
        f"{path}: [resources] has 'rooms', but may hold only chat, user, message, table, "
        "document, drive, card, tenant",
        f"{path}: [resources] 'table': -1 is no limit, "
        'write calls at once such as 1, "5/1", or "none"',
    ]


def test_a_wrong_limit_is_a_mistake_in_the_settings() -> None:
    assert issubclass(LimitsError, ConfigError)
    assert issubclass(LimitsError, ValueError)
