"""Looks for mistakes in the settings, as `lark-service config validate` does."""

from __future__ import annotations

from cli.main import main

if __name__ == "__main__":
    main("config", "validate")
