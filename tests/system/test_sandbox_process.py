"""`python -m sandbox.feishu` as a process."""

import signal
import socket
import subprocess
import sys
import time

import pytest
import requests

from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET
from tests.support.sandbox_process import sandbox_process

TENANT_TOKEN = "/open-apis/auth/v3/tenant_access_token/internal"


def token_answer(url: str, app_id: str, secret: str) -> dict[str, object]:
    body = {"app_id": app_id, "app_secret": secret}
    return dict(requests.post(url + TENANT_TOKEN, json=body, timeout=5).json())


def test_the_process_serves_the_default_app_and_the_environments() -> None:
    own = {"LARK_APP_ID": "cli_own00000000000", "LARK_APP_SECRET": "own-secret"}
    with sandbox_process(**own) as (url, _):
        assert token_answer(url, DEFAULT_APP_ID, DEFAULT_SECRET)["code"] == 0
        assert token_answer(url, "cli_own00000000000", "own-secret")["code"] == 0


def test_options_reach_the_server() -> None:
    arguments = ("--latency-ms", "80", "--token-life", "60", "--renew-below", "5", "--no-limits")
    with sandbox_process(*arguments, "--window-model", "aligned") as (url, _):
        started = time.monotonic()
        assert token_answer(url, DEFAULT_APP_ID, DEFAULT_SECRET)["expire"] == 60
        assert time.monotonic() - started >= 0.08
        state = requests.get(f"{url}/_sandbox/state", timeout=5).json()
        assert state["limits"]["enabled"] is False
        assert state["limits"]["chat_limit"] is None
        assert state["limits"]["model"] == "aligned"
        assert state["tokens"] == {"life": 60.0, "renew_below": 5.0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_at_once_even_while_calls_hang(number: signal.Signals) -> None:
    with sandbox_process() as (url, process):
        token = token_answer(url, DEFAULT_APP_ID, DEFAULT_SECRET)["tenant_access_token"]
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as hanging:
            request = (
                "GET /open-apis/contact/v3/users/sim_hang HTTP/1.1\r\n"
                f"Host: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            )
            hanging.sendall(request.encode())
            hanging.settimeout(0.3)
            with pytest.raises(TimeoutError):
                hanging.recv(1)
            started = time.monotonic()
            process.send_signal(number)
            hanging.settimeout(5)
            assert hanging.recv(1) == b""
            assert process.wait(5) == 0
            assert time.monotonic() - started < 3


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = subprocess.run(
            [sys.executable, "-m", "sandbox.feishu", "--port", port],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.startswith(f"sandbox: cannot listen on 127.0.0.1:{port}: ")
    assert len(result.stderr.splitlines()) == 1
