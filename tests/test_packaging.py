"""The install holds what it promises: plain pins, honest bounds, and a wheel that works away from the checkout."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PIN = re.compile(r"[A-Za-z0-9._-]+==[0-9]+(\.[0-9A-Za-z]+)*")
# Written so that this file does not hold what it looks for.
HOST = re.compile(r"(pyp[i]|pythonhoste[d]|npmj[s]|debia[n])\.org")
MACHINE = re.compile(r"(?<![\w.])/(work|root|farm|home|Users)/")


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def requirements(*extras: str) -> list[Requirement]:
    """What an install with the given extras asks for, by name."""
    return [Requirement(line) for line in [*PROJECT["dependencies"], *(one for name in extras for one in EXTRAS[name])]]


def test_constraints_are_plain_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("#")]
    assert [line for line in kept if not PIN.fullmatch(line)] == []
    assert kept == sorted(kept, key=str.lower)
    assert len(pins()) == len(kept)


def test_constraints_keep_cuda_and_onnx_out() -> None:
    unwanted = re.compile(r"nvidia|nccl|cuda|triton|onnx|^xgboost$")
    assert [name for name in pins() if unwanted.search(name)] == []


def test_every_requirement_has_a_lower_bound_that_its_pin_meets() -> None:
    for wanted in requirements("ray", "xgboost", "dev"):
        assert [one.operator for one in wanted.specifier] == [">="], f"a lower bound and nothing else: {wanted}"
        pin = pins().get(canonicalize_name(wanted.name))
        assert pin is not None, f"constraints.txt lacks {wanted.name}"
        assert pin in wanted.specifier


def test_everything_imported_is_required() -> None:
    required = {canonicalize_name(wanted.name) for wanted in requirements(*EXTRAS.keys() - {"dev"})}
    providers = importlib.metadata.packages_distributions()
    for path in sorted((ROOT / "autometa").rglob("*.py")):
        for name in top_level_imports(path) - set(sys.stdlib_module_names) - {"autometa"}:
            known = {canonicalize_name(one) for one in providers.get(name, [name])}
            assert known & required, f"{path.name} imports {name}: add it to pyproject.toml"


def top_level_imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def kept_texts() -> Iterator[tuple[str, str]]:
    """Name and text of each file that git keeps or would keep."""
    found = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        pytest.skip("not a git checkout")
    for name in sorted(filter(None, found.stdout.split("\0"))):
        path = ROOT / name
        if path.is_file():
            yield name, path.read_bytes().decode("utf-8", errors="replace")


def test_no_file_names_a_registry_host_or_a_path_of_one_machine() -> None:
    wrong = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in kept_texts()
        if "\0" not in text
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE.search(line) or HOST.search(line)
    ]
    assert wrong == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "-w", str(folder), str(ROOT)], cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


def run(command: list[str], *, cwd: Path) -> str:
    child = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return child.stdout


@pytest.mark.slow
def test_wheel_holds_the_package_and_its_data_and_nothing_beside_them(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"autometa", f"autometa-{wheel.name.split('-')[1]}.dist-info"}
    shipped = [
        *(path.relative_to(ROOT) for path in (ROOT / "autometa").rglob("*.*") if path.suffix != ".pyc"),
        *(Path("autometa") / path.relative_to(ROOT) for path in (ROOT / "search_spaces").rglob("*.toml")),
        Path("autometa/meta_datasets/README.md"),
    ]
    assert {path.as_posix() for path in shipped} - set(names) == set()


@pytest.mark.slow
def test_wheel_searches_and_predicts_from_another_directory(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "environment"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    run([str(python), "-m", "pip", "install", "-qq", "--no-deps", str(wheel)], cwd=tmp_path)
    # The dependencies are those of this environment; .pth files in there, an editable install's among
    # them, are not followed from here.
    site = Path(
        run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], cwd=tmp_path).strip()
    )
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + os.linesep, encoding="utf-8")

    show = "import autometa; print(autometa.__file__); print(autometa.Space.load('tabular').name)"
    place, space = run([str(python), "-c", show], cwd=tmp_path).split()
    assert Path(place).is_relative_to(home)
    assert space.startswith("tabular")

    table = tmp_path / "tumours.csv"
    table.write_bytes((ROOT / "examples" / "data" / "tumours.csv").read_bytes())
    autometa = str(home / "bin" / "autometa")
    run([autometa, "search", table.name, "--time", "15s", "--out", "found"], cwd=tmp_path)
    run([autometa, "predict", "found", table.name, "--out", "predictions.csv"], cwd=tmp_path)
    assert (tmp_path / "found" / "report.html").is_file()
    rows = (tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "prediction"
    assert len(rows) == len(table.read_text(encoding="utf-8").splitlines())
