"""A gateway and a producer for each test module that asks for them."""

from tests.support.gateway import gateway, gateway_environment, set_limits, simulated
from tests.support.producer import producer, rabbitmq_user
from tests.support.rows import rows

__all__ = [
    "gateway",
    "gateway_environment",
    "producer",
    "rabbitmq_user",
    "rows",
    "set_limits",
    "simulated",
]
