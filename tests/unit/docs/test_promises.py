"""docs/promises.md names tests that there are, for every promise that it is about."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", TEXT, re.MULTILINE)
NAMED = re.findall(r"`(\S+\.py)::(\w+)`", TEXT)


def test_every_promise_about_tokens_secrets_stores_and_settings_has_a_row() -> None:
    numbers = [int(number) for number, *_ in ROWS]

    assert len(numbers) == len(set(numbers))
    assert {*range(1, 35), *range(60, 75)} <= set(numbers)


def test_every_named_test_exists() -> None:
    found = {
        (str(file.relative_to(ROOT / "tests")), test)
        for file in (ROOT / "tests").rglob("test_*.py")
        for test in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    moved = {test: file for file, test in found}

    assert len(NAMED) > 60
    missing = [f"{file}::{test}, now in {moved.get(test)}" for file, test in NAMED]
    assert [line for line, named in zip(missing, NAMED, strict=True) if named not in found] == []


def test_what_is_said_to_be_kept_names_a_test() -> None:
    for number, _, kept, shown in ROWS:
        assert re.match(r"yes|partly|otherwise|not yet", kept), number
        assert "::" in shown or kept.startswith("not yet"), number
