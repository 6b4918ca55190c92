"""constraints.txt against the requirements that it locks."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.compose import ROOT

_LINES = (ROOT / "constraints.txt").read_text().splitlines()
_PAIRS = [line.split("==") for line in _LINES]
_PINS = {canonicalize_name(pair[0]): pair[-1] for pair in _PAIRS}


def _requirements(file: Path) -> list[Requirement]:
    project = tomllib.loads(file.read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    listed = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return [Requirement(line) for line in listed]


def test_every_line_is_a_name_and_a_version() -> None:
    assert [pair for pair in _PAIRS if len(pair) != 2 or "/" in "".join(pair)] == []


def test_every_requirement_is_locked_within_its_range() -> None:
    requirements = [
        *_requirements(ROOT / "pyproject.toml"),
        *_requirements(ROOT / "client/pyproject.toml"),
    ]
    wrong = [
        str(requirement)
        for requirement in requirements
        if not requirement.specifier.contains(_PINS.get(canonicalize_name(requirement.name), "0"))
    ]

    assert len(requirements) > 20
    assert wrong == []
