"""Brings tokens into Redis before the calls come, as `lark-service token warm-up` does."""

from __future__ import annotations

from cli.main import main

if __name__ == "__main__":
    main("token", "warm-up")
