"""docs/apps.md and its Chinese twin name commands, options, exit codes and log lines that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from cli.apps.group import app as apps
from cli.apps.validation import _EXITS
from cli.pools.group import app as pools
from gateway.metrics import table

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "docs/apps.md", ROOT / "docs/zh-CN/apps.md"]
GROUPS = {"app": typer.main.get_group(apps), "pool": typer.main.get_group(pools)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_command_and_option_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    lines = re.findall(r"^lark-service (app|pool) (.*)$", text, re.MULTILINE)
    assert len(lines) > 12
    for group, line in lines:
        name, *words = shlex.split(line.partition("<<")[0], comments=True)
        command = GROUPS[group].commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line
    named = set(re.findall(r"`(--[a-z-]+)", text))
    every = {
        option
        for group in GROUPS.values()
        for command in group.commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    assert named <= every


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_exit_codes_log_lines_and_metrics_are_those_of_the_code(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    codes = {int(code) for code in re.findall(r"^\| (\d) \|", text, re.MULTILINE)}
    watch = (ROOT / "gateway/app_watch.py").read_text(encoding="utf-8")
    events = re.findall(r"`((?:secret|limits) [a-z ]+)`", text)
    assert codes == {*_EXITS.values(), 1, 2}
    assert len(events) == 3
    assert all(f'"{event}"' in watch for event in events)
    assert all(name in table() for name in re.findall(r"lark_service_\w+", text))


def test_both_documents_show_the_same_commands() -> None:
    english, chinese = (
        [
            line.partition("#")[0].rstrip()
            for line in document.read_text(encoding="utf-8").splitlines()
            if line.startswith("lark-service ")
        ]
        for document in DOCUMENTS
    )
    assert english == chinese
