"""What no line of the product does: run text as code, or read objects that carry code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "gateway", "consumers", "cli", "sandbox", "client/src", "scripts", "examples")
FILES = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
CARRIERS = {
    "pickle",
    "cPickle",
    "dill",
    "marshal",
    "shelve",
    "yaml",
    "jsonpickle",
    "code",
    "codeop",
}
"""Modules that make code or objects of any kind out of bytes; YAML does in some of its loaders."""
PICKLING = ("aio_pika.patterns", "multiprocessing.connection")
RUNNERS = {"eval", "exec", "compile", "__import__"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def flaws_of(source: str) -> list[str]:
    tree = ast.parse(source)
    found = [
        name
        for name in imported(tree)
        if name.split(".")[0] in CARRIERS or name.startswith(PICKLING)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found += [node.func.id] if node.func.id in RUNNERS else []
        if isinstance(node, ast.keyword) and node.arg == "shell":
            found.append("a shell")
        if isinstance(node, ast.JoinedStr) and "redis.call" in ast.unparse(node):
            found.append("a Lua script made of values")
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(FILES) > 200


def test_no_file_runs_text_or_reads_objects_that_carry_code() -> None:
    found = {file: flaws_of(file.read_text(encoding="utf-8")) for file in FILES}

    assert {file: flaws for file, flaws in found.items() if flaws} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from yaml import load",
        "from aio_pika.patterns import RPC",
        "from aio_pika import patterns",
        "eval(x)",
        "def f():\n    exec('1')",
        "subprocess.run(x, shell=True)",
        "SCRIPT = f'return redis.call({x})'",
    ],
)
def test_what_would_is_found(source: str) -> None:
    assert flaws_of(source)


def test_no_lua_script_makes_code_of_its_arguments() -> None:
    scripts = [file.read_text(encoding="utf-8") for file in (ROOT / "gateway").rglob("*.lua")]

    assert scripts
    assert [
        word for word in ("loadstring", "load(", "dofile") for text in scripts if word in text
    ] == []
