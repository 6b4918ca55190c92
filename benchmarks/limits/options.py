"""What the command line may change, the same for every scenario."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.feishu.limits import WindowModel
from schemas.apis import Window, parse_windows
from schemas.names import LANES, Lane

MODELS = (WindowModel.ALIGNED, WindowModel.FIRST_HIT, WindowModel.SLIDING)


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` replaces how long each measurement of a scenario takes, in seconds.

    `windows` is the limit of the saturated bucket; shorter windows make shorter runs. `network` is
    the least and the most that a request travels to Feishu, in milliseconds.
    """

    seconds: float | None = None
    alternative_seconds: float = 180.0
    alternatives: tuple[str, ...] | None = None
    models: tuple[WindowModel, ...] = MODELS
    lanes: tuple[Lane, ...] = LANES
    windows: str = "1000/60;50/1"
    network: tuple[float, float] = (10.0, 80.0)
    gateways: int = 4

    @property
    def longest(self) -> Window:
        """The window that binds a saturated bucket in the long run."""
        return max(parse_windows(self.windows), key=lambda window: window.seconds)

    def lasting(self, seconds: float) -> float:
        """How long a measurement takes that takes *seconds* by default."""
        return self.seconds or seconds
