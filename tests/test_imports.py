"""Dependencies point one way, and starting up stays light."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "autometa"

# Each room may import from itself and from those before it.
ORDER = [
    "errors",
    "workers",
    "parameters",
    "space",
    "task",
    "pool",
    "checkpoint",
    "adaptation",
    "architectures",
    "tables",
    "records",
    "policies",
    "metatrain",
    "integrations",
    "search",
    "cli",
]
# What the order alone would allow and the room does without: the first words of dotted names.
FORBIDDEN = {
    "adaptation": ["autometa.parameters", "autometa.space", "autometa.task"],
    "architectures": ["pandas", "pyarrow"],
    "policies": ["pandas", "pyarrow", "autometa.tables.reading"],
}
OPTIONAL = {"openml", "onnx", "onnxruntime", "ray", "xgboost"}
HEAVY = {
    "catboost",
    "lightgbm",
    "matplotlib",
    "openml",
    "optuna",
    "pandas",
    "pyarrow",
    "ray",
    "scipy",
    "sklearn",
    "torch",
    "xgboost",
}
CLI = "from autometa.cli import app; app()"
# In the interpreter that runs the tests; each bound is for the whole process, its start included.
HELP_SECONDS = 0.4
IMPORT_SECONDS = 0.2
TRIES = 3


@dataclass(frozen=True)
class Import:
    """One import: who imports what, where, and whether it runs when the file is loaded."""

    room: str
    name: str
    place: str
    at_load: bool


def room_of(path: Path) -> str:
    """The first name below the package: `search` for autometa/search/loop.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(node: ast.Import | ast.ImportFrom, path: Path) -> list[str]:
    """Full dotted names; `from a import b` gives a.b, which may be a module or a value."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = ("autometa", *path.relative_to(PACKAGE).parts[:-1])
        base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_in(path: Path) -> Iterator[Import]:
    """Every import of a file, at whatever depth."""

    def walk(node: ast.AST, *, at_load: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                place = f"{path.relative_to(ROOT)}:{child.lineno}"
                for name in imported_names(child, path):
                    yield Import(room_of(path), name, place, at_load)
            late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or is_typing_block(child)
            yield from walk(child, at_load=at_load and not late)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), at_load=True)


def package_imports() -> list[Import]:
    """Every import of the package, its public face aside: that one may name everything."""
    files = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.stem.startswith("__"))
    return [found for path in files for found in imports_in(path)]


IMPORTS = package_imports()


def below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert rooms <= set(ORDER), "give the new room its place in ORDER, and in the architecture's list"


def test_dependencies_point_one_way() -> None:
    rank = {room: place for place, room in enumerate(ORDER)}
    wrong = []
    for found in IMPORTS:
        if below(found.name, "autometa") and found.name != "autometa.__version__":
            target = found.name.removeprefix("autometa").lstrip(".").split(".")[0]
            # What is no room is a name of the public face, which would bring everything in.
            if rank.get(target, len(ORDER)) > rank[found.room]:
                wrong.append(f"{found.place} imports {found.name}")
    assert wrong == []


def test_rooms_do_without_what_is_not_theirs() -> None:
    wrong = [
        f"{found.place} imports {found.name}"
        for found in IMPORTS
        if any(below(found.name, prefix) for prefix in FORBIDDEN.get(found.room, []))
    ]
    assert wrong == []


def test_optional_packages_are_imported_late() -> None:
    wrong = [
        f"{found.place} imports {found.name}"
        for found in IMPORTS
        if found.at_load and found.name.split(".")[0] in OPTIONAL
    ]
    assert wrong == []


def test_data_is_never_imported_and_holds_no_code() -> None:
    data = {"meta_datasets", "search_spaces"}
    assert [found.place for found in IMPORTS if data & set(found.name.split("."))] == []
    assert [path for folder in data for path in (ROOT / folder).rglob("*.py")] == []


def loaded_after(code: str, *arguments: str) -> set[str]:
    """Top-level names in sys.modules when a fresh interpreter ends after running the code."""
    report = (
        "import atexit, json, sys\natexit.register(lambda: print(json.dumps(list(sys.modules)), file=sys.stderr))\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", report + code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    return {name.split(".")[0] for name in json.loads(child.stderr.splitlines()[-1])}


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"]], ids=" ".join)
def test_help_brings_in_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_after(CLI, *arguments) & HEAVY == set()


def test_bare_import_brings_in_nothing_heavy() -> None:
    assert loaded_after("import autometa") & (HEAVY | {"numpy", "rich", "typer"}) == set()


def cpu_seconds(code: str, *arguments: str) -> float:
    """CPU time of a fresh interpreter running the code: the best of a few tries, as others share the cores."""

    def once() -> float:
        child = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        return usage.ru_utime + usage.ru_stime

    return min(once() for _ in range(TRIES))


def test_help_is_quick() -> None:
    assert cpu_seconds(CLI, "--help") <= HELP_SECONDS


def test_bare_import_is_quick() -> None:
    assert cpu_seconds("import autometa") <= IMPORT_SECONDS
