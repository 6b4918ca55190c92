"""Tokens at the command line: what there is, a new one at once, and whether credentials work."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from gateway.database import Database
from gateway.tokens.forced import MOST_A_MINUTE
from sandbox.feishu import SandboxFeishu
from tests.support.command import plain_environment, run
from tests.support.gateway import Gateway, api_requests
from tests.support.producer import Producer
from tests.support.shell import SECRET, Shell

NOWHERE = {
    "DATABASE_URL": "postgresql://lark:pass-word@127.0.0.1:1/lark_service",
    "REDIS_URL": "redis://:pass-word@127.0.0.1:1/0",
}


def used_last(simulated: SandboxFeishu) -> str:
    """The fingerprint of the token of the last call."""
    return str(api_requests(simulated)[-1]["token"])


@pytest.fixture
async def shell(
    simulated: SandboxFeishu, gateway_environment: dict[str, str], tmp_path: Path
) -> Shell:
    database = Database(gateway_environment["DATABASE_URL"])
    await database.migrate()
    await database.close()
    simulated.world.script.rules.clear()
    simulated.world.tokens.renew_below = 1800
    names = ("LARK_DOMAIN", "RABBITMQ_", "REDIS_", "DATABASE_")
    given = {n: value for n, value in gateway_environment.items() if n.startswith(names)}
    return Shell(simulated, given, tmp_path)


async def test_a_token_is_missing_until_it_is_asked_for_and_is_never_shown(shell: Shell) -> None:
    missing = await shell.run("token-info", "--app-id", shell.app_id, "--json")
    renewed = await shell.run("refresh-token", "--app-id", shell.app_id, "--json")
    there = await shell.run("token-info", "--app-id", "default", "--json")
    told = await shell.run("token", "info")

    assert (missing.code, missing.json["state"]) == (1, "missing")
    assert renewed.code == 0, renewed.err
    assert not renewed.json["unchanged"]
    assert there.code == told.code == 0
    assert there.json["state"] == "valid"
    assert there.json["kind"] == "tenant_access_token"
    assert there.json["found_in"] == ["redis", "postgres"]
    assert there.json["fingerprint"] == renewed.json["fingerprint"]
    left = datetime.fromisoformat(there.json["expires_at"]).timestamp() - time.time()
    assert abs(left - there.json["remaining_seconds"]) < 30
    assert 7100 < there.json["remaining_seconds"] <= 7200
    for word in ("valid", "redis, postgres", "renewal", there.json["fingerprint"]):
        assert word in told.out
    (token,) = shell.tokens
    for ran in (missing, renewed, there, told):
        assert token not in ran.out + ran.err
        assert SECRET not in ran.out + ran.err


async def test_it_also_runs_as_a_module(shell: Shell) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "token-info", "--app-id", shell.app_id, "--json"),
        env=plain_environment() | shell.settings,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()

    assert process.returncode == 1
    assert b'"state": "missing"' in out


async def test_feishu_may_give_out_the_same_token_and_that_is_said(shell: Shell) -> None:
    first = await shell.run("refresh-token")
    again = await shell.run("refresh-token")

    assert "renewed, 7" in first.out
    # Soon after another it is not asked again; either way it is the same token.
    assert "unchanged, 7" in again.out or "another asked Feishu" in again.out
    assert len(shell.tokens) == 1


async def test_ten_at_once_cost_at_most_two_requests(shell: Shell) -> None:
    shell.world.latency_ms = 100
    try:
        done = await asyncio.gather(*(shell.run("refresh-token", "--json") for _ in range(10)))
    finally:
        shell.world.latency_ms = 0

    assert [ran.code for ran in done] == [0] * 10, done[0].err
    assert len({ran.json["fingerprint"] for ran in done}) == 1
    assert shell.asked <= 2


async def test_the_eleventh_of_a_minute_is_refused(shell: Shell) -> None:
    for _ in range(2):
        words = ("refresh-token", "--json")
        await asyncio.gather(*(shell.run(*words) for _ in range(MOST_A_MINUTE // 2)))

    refused = await shell.run("refresh-token")

    assert (refused.code, refused.out) == (1, "")
    assert f"{MOST_A_MINUTE} renewals of tokens of {shell.app_id} were forced" in refused.err
    assert "the next may be in" in refused.err


async def test_a_gateway_uses_the_new_token_for_its_next_call(
    simulated: SandboxFeishu,
    gateway: Gateway,
    producer: Producer,
    gateway_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    settings = {
        name: value
        for name, value in gateway_environment.items()
        if name.startswith(("LARK_", "RABBITMQ_", "REDIS_", "DATABASE_"))
    }
    call = {"method": "GET", "path": "/open-apis/im/v1/chats"}
    await producer.call(call)
    before = used_last(simulated)
    simulated.world.tokens.renew_below = 10_000
    words = ("refresh-token", "--json")

    renewed = await run(*words, folder=tmp_path, **settings)
    while renewed.json["asked_seconds_ago"] is not None:
        # It was shared with an earlier one, and so many a minute are allowed.
        await asyncio.sleep(1)
        renewed = await run(*words, folder=tmp_path, **settings)

    assert renewed.json["fingerprint"] != before
    async with asyncio.timeout(10):
        while used_last(simulated) != renewed.json["fingerprint"]:
            await producer.call(call)


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ({"status": 200, "code": 10014, "msg": "app secret invalid"}, 3, "credentials_invalid"),
        ({"status": 200, "code": 99991662}, 6, "app_unavailable"),
        ({"cut": "before", "count": 9}, 4, "unreachable"),
    ],
    ids=["credentials", "app", "network"],
)
async def test_validate_tells_why_and_leaves_tokens_alone(
    shell: Shell, fault: dict[str, object], code: int, said: str
) -> None:
    await shell.run("refresh-token")
    before = await shell.run("token-info", "--json")
    shell.fail(**fault)

    ran = await shell.run("validate", "--app-id", shell.app_id)
    shell.world.script.rules.clear()
    good = await shell.run("validate", "--app-id", shell.app_id, "--json")
    after = await shell.run("token-info", "--json")

    assert ran.code == code
    assert said in ran.err
    assert good.code == 0
    assert good.json["verdict"] == "ok"
    assert after.json["fingerprint"] == before.json["fingerprint"]
    assert after.json["failure"] is None


async def test_what_feishu_refuses_is_told_by_refresh_too(shell: Shell) -> None:
    shell.fail(status=200, code=10014)

    ran = await shell.run("refresh-token")
    info = await shell.run("token-info", "--json")

    assert ran.code == 3
    assert "https://open.feishu.cn/app" in ran.err
    assert (info.code, info.json["state"]) == (1, "failing")
    assert info.json["failure"]["code"] == 10014


@pytest.mark.parametrize("command", ["token-info", "refresh-token", "validate"])
async def test_an_app_that_nobody_knows_is_a_mistake_of_the_caller(
    shell: Shell, command: str
) -> None:
    ran = await shell.run(command, "--app-id", "nope")

    assert (ran.code, ran.out) == (2, "")
    assert "'nope'" in ran.err
    assert "lark-service app list" in ran.err


async def test_settings_without_an_app_are_named(shell: Shell) -> None:
    ran = await run("token-info", folder=shell.folder)

    assert ran.code == 2
    assert "ConfigError: Required environment variable LARK_APP_ID is not set" in ran.err


async def test_an_unknown_verb_is_a_mistake_of_the_caller(shell: Shell) -> None:
    assert (await shell.run("token", "renwe")).code == 2


async def test_without_a_store_it_is_said_which_and_no_password_is_shown(shell: Shell) -> None:
    one = await shell.run("token-info", "--json", DATABASE_URL=NOWHERE["DATABASE_URL"])
    none = await shell.run("token-info", **NOWHERE)
    listed = await shell.run("token", "list", **NOWHERE)

    assert (one.code, one.json["state"]) == (1, "missing")
    assert "127.0.0.1:1" in one.json["away"]["postgres"]
    assert (none.code, listed.code) == (4, 4)
    assert "postgres: Postgres at 127.0.0.1:1 is not to be had" in none.err
    assert "pass-word" not in one.out + one.err + none.err + listed.err


async def test_feishu_is_asked_without_any_store(shell: Shell) -> None:
    ran = await shell.run("refresh-token", "--json", **NOWHERE)

    assert ran.code == 0, ran.err
    assert len(shell.tokens) == 1


async def test_list_and_status_name_every_token(shell: Shell) -> None:
    before = await shell.run("token", "status", "--json")
    await shell.run("refresh-token")
    listed = await shell.run("token", "list", "--app", "default", "--json")
    other = await shell.run("token", "list", "--app", "other", "--json")
    status = await shell.run("token", "status")

    assert (before.code, [row["state"] for row in before.json["tokens"]]) == (0, ["missing"])
    (row,) = [row for row in listed.json["tokens"] if row["app_id"] == shell.app_id]
    assert (row["app"], row["holder"], row["state"]) == ("default", "the app", "valid")
    assert other.json["tokens"] == []
    assert row["fingerprint"] in status.out
    assert shell.tokens[0] not in listed.out + status.out
