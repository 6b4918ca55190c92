"""A gateway whose Feishu is a bare socket, and a producer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.corpus.catalogue import OWN, seeds_of
from tests.corpus.host import Host
from tests.corpus.seeds import MARK, PATH, Answered
from tests.support.gateway import SetLimits, gateway, set_limits, simulated
from tests.support.gateway import gateway_environment as usual_environment
from tests.support.producer import producer, rabbitmq_user

__all__ = [
    "gateway",
    "producer",
    "rabbitmq_user",
    "set_limits",
    "simulated",
    "usual_environment",
]

_NO_LIMIT = "100000/1"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(scope="module")
async def host() -> AsyncIterator[Host]:
    """Feishu's host."""
    server = Host()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
def gateway_environment(
    usual_environment: dict[str, str], host: Host, set_limits: SetLimits
) -> dict[str, str]:
    """One gateway is asked thousands of times for APIs that nobody documents."""
    path = PATH.replace(MARK, ":mark")
    paths = [path + "".join(f"/:p{place}" for place in range(more)) for more in range(6)]
    limits = {f"{method} {path}": _NO_LIMIT for method in _METHODS for path in paths}
    for seed in seeds_of("b14"):
        if isinstance(seed.verdict, Answered) and seed.verdict.form.limits:
            limits[f"GET {OWN.replace(MARK, seed.mark)}"] = _NO_LIMIT
    return {**usual_environment, **set_limits(limits), "LARK_DOMAIN": host.url}
