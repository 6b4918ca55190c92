"""The distribution that producers install: its own name, the contract in it, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy with the same link so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    litter = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    for part in ("client", "schemas"):
        shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=litter)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--no-index", "-q", "-w", str(folder), str(folder / "client")],
        check=True,
        timeout=100,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_it_brings_one_name_only_and_no_catalogue(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    packages = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"lark_service_client"}
    assert "lark_service_client/py.typed" in names
    assert "lark_service_client/schemas/call.py" in names
    assert not [name for name in names if name.endswith(".csv")]
    assert wheel.stat().st_size < 60_000


def test_it_works_without_the_gateways_packages(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = (
        "import sys; import lark_service_client as c;"
        "assert c.__file__.startswith(sys.argv[1]), c.__file__;"
        "gateway = {'schemas', 'gateway', 'consumers', 'orjson', 'redis', 'asyncpg'};"
        "assert not gateway & set(sys.modules), gateway & set(sys.modules);"
        "print(c.InvalidCall.__name__)"
    )

    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(tmp_path)],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.stdout.strip(), done.stderr) == ("InvalidCall", "")
