"""All commands are where their table says."""

from __future__ import annotations

from pathlib import Path

from cli.main import COMMANDS
from tests.support.command import run


async def test_help_lists_every_command_with_what_it_does(tmp_path: Path) -> None:
    ran = await run("--help", folder=tmp_path)

    assert ran.code == 0, ran.err
    lines = {line.split()[1]: line for line in ran.out.splitlines() if len(line.split()) > 3}
    assert COMMANDS.keys() <= lines.keys()
    assert "Make one call through RABBITMQ_URL" in lines["call"]


async def test_an_unknown_command_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    ran = await run("serv", folder=tmp_path)

    assert ran.code == 2
    assert "No such command" in ran.err
