"""`lark-service healthcheck` says by its exit code what Docker asks."""

from __future__ import annotations

from pathlib import Path

from yarl import URL

from sandbox.feishu import SandboxFeishu
from sandbox.stack.ports import free_ports
from tests.support.command import Ran, run
from tests.support.gateway import Gateway


async def check(folder: Path, port: int, *words: str, host: str = "127.0.0.1") -> Ran:
    settings = {"LARK_SERVICE_HEALTH_PORT": str(port), "LARK_SERVICE_HEALTH_HOST": host}
    return await run("healthcheck", *words, folder=folder, **settings)


async def test_a_gateway_that_serves_is_alive_and_ready(gateway: Gateway, tmp_path: Path) -> None:
    # 0.0.0.0 is where a container's gateway listens.
    alive = await check(tmp_path, gateway.port, host="0.0.0.0")
    ready = await check(tmp_path, gateway.port, "--ready")

    assert (alive.code, alive.out) == (0, "ok\n")
    assert ready.code == 0
    assert "[+]rabbitmq-consume" in ready.out


async def test_nobody_there_is_unhealthy(tmp_path: Path) -> None:
    port = free_ports(1)[0]

    ran = await check(tmp_path, port)

    assert ran.code == 1
    assert ran.err == f"Nobody answers at 127.0.0.1:{port}/livez: Connection refused\n"


async def test_any_other_answer_than_well_is_unhealthy(
    simulated: SandboxFeishu, tmp_path: Path
) -> None:
    ran = await check(tmp_path, URL(simulated.url).port or 0, "--ready")

    assert ran.code == 1
    assert "/readyz answers 404" in ran.err


async def test_wrong_settings_are_unhealthy_and_said(tmp_path: Path) -> None:
    any_port = await check(tmp_path, 0)
    no_port = await run("healthcheck", folder=tmp_path, LARK_SERVICE_HEALTH_PORT="http")

    assert (any_port.code, no_port.code) == (1, 1)
    assert "LARK_SERVICE_HEALTH_PORT" in any_port.err
    assert "LARK_SERVICE_HEALTH_PORT" in no_port.err
