"""The scripts that Redis runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script as text, and the name by which Redis knows it once it has run."""

    text: str
    sha: str

    @classmethod
    def load(cls, name: str) -> Script:
        """The script of this name, behind what all share."""
        parts = (files(__package__).joinpath(f"{part}.lua") for part in ("record", name))
        text = "\n".join(part.read_text(encoding="utf-8") for part in parts)
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
