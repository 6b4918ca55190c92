from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.site_limits import LimitsError, load_limits_file
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
    assert load_limits_file(path) == {
        "POST /open-apis/im/v1/messages": (Window(2000, 60), Window(100, 1)),
        "GET /open-apis/im/v1/chats": (Window(5, 1),),
    }


@pytest.mark.parametrize("text", ["", "[limits]\n", "# nothing\n"])
def test_a_limits_file_may_be_empty(tmp_path: Path, text: str) -> None:
    assert load_limits_file(written(tmp_path, text)) == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[limits", "is no TOML file: "),
        ("limits = 5\n", "limits must be a table, [limits]"),
        ("[limit]\n", "has 'limit' where only the table [limits] belongs"),
        ('"GET /a" = "5/1"\n', "has 'GET /a' where only the table [limits] belongs"),
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


def test_every_wrong_entry_is_named_with_what_to_write(tmp_path: Path) -> None:
    path = written(tmp_path, '[limits]\n"GET /a" = "fast"\n"GET /b" = "5/1"\n"GET /c" = 5\n')
    with pytest.raises(LimitsError) as caught:
        load_limits_file(path)
    assert str(caught.value).split("\n") == [
        f"{path}: limit of 'GET /a': 'fast' is no limit, write requests/seconds such as 50/1",
        f"{path}: limit of 'GET /c': '5' is no limit, write requests/seconds such as 50/1",
    ]


def test_a_wrong_limit_is_a_mistake_in_the_settings() -> None:
    assert issubclass(LimitsError, ConfigError)
    assert issubclass(LimitsError, ValueError)
