"""Says how everything is that a gateway needs, as `lark-service health` does."""

from __future__ import annotations

from cli.main import main

if __name__ == "__main__":
    main("health")
