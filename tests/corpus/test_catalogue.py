"""The corpus is as large as it is said to be, and its verdicts on JSON are those of JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.corpus import json_texts
from tests.corpus.catalogue import CATEGORIES, LEAST, seeds_of
from tests.corpus.json_broken import broken
from tests.corpus.naughty import strings


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_has_its_number_of_seeds_and_each_a_name_of_its_own(category: str) -> None:
    seeds = seeds_of(category)

    assert len(seeds) >= CATEGORIES[category].least
    assert len({seed.name for seed in seeds}) == len({seed.mark for seed in seeds}) == len(seeds)


def test_all_categories_together_have_what_is_promised() -> None:
    assert sum(category.least for category in CATEGORIES.values()) >= LEAST


def test_every_family_of_json_texts_and_strings_is_as_large_as_is_usual() -> None:
    assert len(set(json_texts.VALID)) >= 95
    assert len(broken()) >= 188
    assert len(json_texts.OPEN) >= 35
    assert len(strings()) >= 515


def test_another_reader_of_json_agrees_which_texts_are_json() -> None:
    wrong = [text for text in json_texts.VALID if not _is_json(text)]
    wrong += [text for text in json_texts.OPEN if not _is_json(text)]
    # Of a lone surrogate in an escape RFC 8259 says nothing; the contract refuses it.
    wrong += [text for text in broken() if _is_json(text) and b"\\u" not in text]
    assert wrong == []


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text.decode(), parse_constant=_no_number)
    except ValueError:
        return False
    return True


def _no_number(word: str) -> Any:
    raise ValueError(word)
