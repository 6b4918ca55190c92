"""docker-compose.yml as Compose reads it when no variable is set."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def compose_text() -> str:
    """The file with every variable replaced by its default."""
    return _VARIABLE.sub(r"\2", (ROOT / "docker-compose.yml").read_text())


def compose() -> dict[str, Any]:
    """The file as data."""
    content: dict[str, Any] = yaml.safe_load(compose_text())
    return content
