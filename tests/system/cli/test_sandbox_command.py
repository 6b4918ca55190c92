"""`lark-service sandbox` as its own process."""

import asyncio
import json
import signal
import subprocess
import sys

import aiohttp

_COMMAND = [sys.executable, "-c", "from cli.main import main; main()", "sandbox"]
_TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"


async def _token_code(app: dict[str, str]) -> int:
    credentials = {"app_id": app["LARK_APP_ID"], "app_secret": app["LARK_APP_SECRET"]}
    async with (
        aiohttp.ClientSession(app["LARK_DOMAIN"]) as session,
        session.post(_TOKEN_PATH, json=credentials) as answer,
    ):
        code: int = (await answer.json())["code"]
        return code


def test_the_sandbox_serves_tokens_until_it_is_told_to_end() -> None:
    command = [*_COMMAND, "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        app = json.loads(process.stdout.readline())
        assert asyncio.run(_token_code(app)) == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_taken_port_is_told_with_its_own_exit_code() -> None:
    with subprocess.Popen([*_COMMAND, "--port", "0", "--json"], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        port = json.loads(first.stdout.readline())["LARK_DOMAIN"].rpartition(":")[2]
        second = subprocess.run(
            [*_COMMAND, "--port", port], capture_output=True, text=True, check=False
        )
        first.terminate()

    assert second.returncode == 4
    assert f"Cannot listen on 127.0.0.1:{port}" in second.stderr
