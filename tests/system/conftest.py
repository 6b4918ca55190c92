"""A gateway and a producer for each test module that asks for them."""

from tests.support.gateway import gateway, gateway_environment, simulated
from tests.support.producer import producer

__all__ = ["gateway", "gateway_environment", "producer", "simulated"]
