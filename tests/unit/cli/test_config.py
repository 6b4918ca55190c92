"""`.env.example` is what people copy: it must name every setting and no other."""

from __future__ import annotations

from pathlib import Path

from cli.config import example_text

ROOT = Path(__file__).parents[3]


def test_the_example_is_made_from_the_settings() -> None:
    on_disk = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert on_disk == example_text(), "run: lark-service config example > .env.example"
