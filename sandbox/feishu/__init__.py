"""A simulated Feishu: a real HTTP server, strict wherever a gateway could err."""

from .options import DEFAULT_APP_ID, DEFAULT_SECRET, Options
from .server import SandboxFeishu

__all__ = ["DEFAULT_APP_ID", "DEFAULT_SECRET", "Options", "SandboxFeishu"]
