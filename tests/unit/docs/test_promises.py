"""docs/promises.md names tests that there are, for every promise that it is about."""

from __future__ import annotations

import re

from tests.support.documents import ROOT, missing_tests, named_tests

TEXT = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", TEXT, re.MULTILINE)


def test_every_promise_about_tokens_secrets_stores_and_settings_has_a_row() -> None:
    numbers = [int(number) for number, *_ in ROWS]

    assert len(numbers) == len(set(numbers))
    assert {*range(1, 35), *range(60, 75)} <= set(numbers)


def test_every_named_test_exists() -> None:
    assert len(named_tests(TEXT)) > 60
    assert missing_tests(TEXT) == []


def test_what_is_said_to_be_kept_names_a_test() -> None:
    for number, _, kept, shown in ROWS:
        assert re.match(r"yes|partly|otherwise|not yet", kept), number
        assert "::" in shown or kept.startswith("not yet"), number
