"""What the documents say of sealed columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.environment import SECRETS, forms_of
from gateway.sealed_columns import SEALED_COLUMNS

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("page", ["secrets.md", "zh-CN/secrets.md"])
def test_the_page_names_every_sealed_column_and_every_form_of_a_secret(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for column in SEALED_COLUMNS:
        assert f"`{column.name}`" in text
    for secret in SECRETS:
        for form in forms_of(secret)[1:]:
            assert f"`{form}`" in text
