"""`lark-service config validate`, also as the script that the recovery guide names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.command import Ran, run, run_script

ROOT = Path(__file__).resolve().parents[3]
SECRET = "q8N3vK1zR7tY5wB2mC9xL4pD6sF0gH7j"
KEY = "0123456789abcdef" * 4
GOOD = {
    "LARK_APP_ID": "cli_a1b2c3d4e5f60718",
    "LARK_APP_SECRET": SECRET,
    "LARK_SERVICE_SECRET_KEY": KEY,
    "DATABASE_URL": "postgresql://lark:Zk29dLq8@127.0.0.1:1/lark_service",
}


def kinds(ran: Ran) -> dict[str, str]:
    return {finding["name"]: finding["kind"] for finding in ran.json["findings"]}


async def test_the_example_as_shipped_has_only_lines_to_fill_in(tmp_path: Path) -> None:
    ran = await run_script("validate_env.py", str(ROOT / ".env.example"), "--json", folder=tmp_path)

    assert ran.code == 1
    mistakes = {name: kind for name, kind in kinds(ran).items() if kind != "advice"}
    assert mistakes == {"LARK_APP_ID": "placeholder", "LARK_APP_SECRET": "placeholder"}


async def test_good_settings_are_shown_without_a_secret(tmp_path: Path) -> None:
    told = await run_script("validate_env.py", folder=tmp_path, **GOOD)
    printed = await run("config", "validate", "--json", folder=tmp_path, **GOOD)

    assert (told.code, printed.code) == (0, 0)
    assert "Nothing to mend." in told.out
    assert printed.json["settings"]["LARK_APP_ID"] == "cli_a1b2c3d4e5f60718"
    for secret in (SECRET, KEY, "Zk29dLq8"):
        assert secret[:4] not in told.out + told.err + printed.out + printed.err


async def test_the_environment_wins_over_the_files_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".env.local").write_text("API_TIMEOUT=0\nLARK_SERVICE_PREFETSH=1\n")

    ran = await run("config", "validate", "--json", folder=tmp_path, **GOOD)
    mended = await run("config", "validate", "--json", folder=tmp_path, **GOOD, API_TIMEOUT="9")

    assert ran.code == 1
    assert kinds(ran) == {"API_TIMEOUT": "invalid", "LARK_SERVICE_PREFETSH": "unknown"}
    assert kinds(mended) == {"LARK_SERVICE_PREFETSH": "unknown"}


async def test_a_file_is_looked_at_alone(tmp_path: Path) -> None:
    file = tmp_path / "staging.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in GOOD.items()))
    (tmp_path / ".env.local").write_text("API_TIMEOUT=0\n")

    ran = await run("config", "validate", str(file), folder=tmp_path, LARK_DOMAIN="ftp://x")

    assert (ran.code, ran.err) == (0, "")


async def test_a_secret_in_a_file_is_looked_at_too(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("changeme\n")
    given = {name: value for name, value in GOOD.items() if name != "LARK_APP_SECRET"}

    ran = await run(
        "config", "validate", "--json", folder=tmp_path, LARK_APP_SECRET_FILE=str(secret), **given
    )

    assert ran.code == 1
    assert kinds(ran) == {"LARK_APP_SECRET": "placeholder"}
    assert "changeme" not in ran.out


async def test_a_command_for_the_key_is_run_once(tmp_path: Path) -> None:
    given = {name: value for name, value in GOOD.items() if name != "LARK_SERVICE_SECRET_KEY"}
    script = tmp_path / "key"
    script.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\necho {KEY}\n")
    script.chmod(0o700)
    path = os.environ["PATH"]

    ran = await run(
        *("config", "validate", "--json"),
        folder=tmp_path,
        LARK_SERVICE_SECRET_KEY_COMMAND=str(script),
        PATH=path,
        **given,
    )

    assert (ran.code, kinds(ran)) == (0, {})
    assert (tmp_path / "runs").read_text() == "run\n"


async def test_brackets_in_a_finding_are_shown_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "l.toml").write_text("[resources]\nnonsense = 1\n")

    ran = await run(
        *("config", "validate"), folder=tmp_path, **GOOD, LARK_SERVICE_LIMITS_FILE="l.toml"
    )

    assert ran.code == 1
    assert "[resources]" in ran.out


@pytest.mark.parametrize("name", ["nowhere.env", "."])
async def test_what_is_no_file_is_a_mistake_of_the_caller(tmp_path: Path, name: str) -> None:
    ran = await run_script("validate_env.py", name, folder=tmp_path)

    assert ran.code == 2
    assert f"{name} is no file" in ran.err
