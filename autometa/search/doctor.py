"""What autometa finds on this machine: packages, cores, memory, GPU, disk; quick, as nothing heavy is loaded."""

from __future__ import annotations

import ast
import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path
from typing import Literal

from autometa.search.ray_address import running_cluster
from autometa.search.resources import granted_cores, granted_memory

LEAST_MEMORY = 2 * 2**30  # below this a search keeps to small samples and few workers
LEAST_DISK = 2**30
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
# What each extra brings, by the modules' names in messages.
EXTRAS = {
    "ray": "for searches on a Ray cluster",
    "xgboost": "XGBoost among the models",
    "onnx": "for export to one ONNX file, which is to come",
}
# XGBoost comes as a CPU and as a CUDA wheel; either gives the module.
TWINS = {"xgboost-cpu": ("xgboost-cpu", "xgboost")}


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what it is.
        state: "ok"; "absent" for what is optional; "warning" for what may hurt; "error" for what
            a search cannot do without.
        value: what was found.
        advice: what to do about it, "" where nothing is.
    """

    name: str
    state: Literal["ok", "absent", "warning", "error"]
    value: str
    advice: str = ""


def diagnose() -> list[Check]:
    """Look at everything that a search depends on."""
    return [
        _python(),
        *_packages(),
        *_extras(),
        _cores(),
        _threads(),
        _memory(),
        _gpu(),
        _disk("temporary files", Path(tempfile.gettempdir())),
        _disk("run folders", Path.cwd()),
    ]


def render(checks: list[Check]) -> str:
    """The checks for people, one a line, advice below."""
    marks = {"ok": "ok", "absent": "-", "warning": "!", "error": "X"}
    wide = max((len(c.name) for c in checks), default=0)
    lines = []
    for check in checks:
        lines.append(f"{marks[check.state]:>2}  {check.name:<{wide}}  {check.value}".rstrip())
        if check.advice:
            lines.append(f"{'':<{wide + 6}}{check.advice}")
    return "\n".join(lines)


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _packages() -> list[Check]:
    """The required packages, in the order of the project's own list."""
    checks = [Check("autometa", "ok", _installed("autometa") or "from a checkout")]
    for line in _requirements().get("", []):
        name = _name(line)
        found = _installed(name)
        advice = "" if found else f"pip install '{line}'"
        checks.append(Check(name, "ok" if found else "error", found or "not installed", advice))
    return checks


def _extras() -> list[Check]:
    checks = []
    for extra, use in EXTRAS.items():
        names = [_name(line) for line in _requirements().get(extra, [])]
        found = {name: next(filter(None, map(_installed, TWINS.get(name, (name,)))), "") for name in names}
        if names and all(found.values()):
            value = ", ".join(f"{name} {number}" for name, number in found.items())
            checks.append(Check(f"extra {extra}", "ok", value + (_cluster() if extra == "ray" else "")))
        else:
            advice = f"pip install 'autometa[{extra}]'"
            checks.append(Check(f"extra {extra}", "absent", f"not installed: {use}", advice))
    return checks


def _cluster() -> str:
    """Where a Ray cluster is running, as Ray itself would look for it."""
    address = running_cluster()
    return f"; a cluster at {address}" if address else "; no cluster is running"


def _requirements() -> dict[str, list[str]]:
    """What autometa asks for by extra, "" for what it always needs; also in a checkout not installed."""
    found: dict[str, list[str]] = {}
    with contextlib.suppress(PackageNotFoundError):
        for line in requires("autometa") or []:
            wanted, _, marker = line.partition(";")
            extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
            found.setdefault(extra[1] if extra else "", []).append(wanted.strip())
        return found
    with contextlib.suppress(OSError, KeyError, tomllib.TOMLDecodeError):
        project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return {"": project["dependencies"], **project["optional-dependencies"]}
    return {}


def _name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    return match[0] if match else requirement


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cores() -> Check:
    granted, built_in = granted_cores(), os.cpu_count() or 1
    value = f"{granted} granted" + (f" of {built_in} built in" if built_in != granted else "")
    return Check("cores", "ok", value)


def _threads() -> Check:
    """Variables that cap the threads of one fit; a search sets one thread per fit itself."""
    there = {name: os.environ[name] for name in THREADS if name in os.environ}
    value = ", ".join(f"{name}={number}" for name, number in there.items()) or "not limited by the environment"
    return Check("threads", "ok", value)


def _memory() -> Check:
    granted = granted_memory()
    low = granted < LEAST_MEMORY
    advice = "close other programs, or search with fewer --workers" if low else ""
    return Check("memory", "warning" if low else "ok", f"{_gigabytes(granted)} free for a search", advice)


def _gpu() -> Check:
    cards = _cards()
    if not cards:
        return Check("GPU", "absent", "none found; searches run on the CPU")
    cuda = _cuda_of_torch()
    if cuda is None:
        advice = "for searches on the GPU install a torch with CUDA: https://pytorch.org/get-started"
        return Check("GPU", "absent", f"{', '.join(cards)}; the installed torch is for the CPU only", advice)
    return Check("GPU", "ok", f"{', '.join(cards)}; torch with CUDA {cuda}")


def _cards() -> list[str]:
    """GPUs that this process may use, as the driver lists them; importing torch would take seconds."""
    program = shutil.which("nvidia-smi")
    if program is None or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=3, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _cuda_of_torch() -> str | None:
    """The CUDA version torch was built for, read from its version file rather than by importing it."""
    try:
        file = distribution("torch").locate_file("torch/version.py")
        tree = ast.parse(Path(str(file)).read_text(encoding="utf-8"))
    except (PackageNotFoundError, OSError, SyntaxError):
        return None
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id == "cuda" for t in targets):
                value = ast.literal_eval(node.value)
                return None if value is None else str(value)
    return None


def _disk(name: str, path: Path) -> Check:
    free = shutil.disk_usage(path).free
    if not os.access(path, os.W_OK):
        return Check(name, "warning", f"{path} cannot be written", "search with another --out or TMPDIR")
    low = free < LEAST_DISK
    advice = "make room: a search keeps its models there while it runs" if low else ""
    return Check(name, "warning" if low else "ok", f"{_gigabytes(free)} free at {path}", advice)


def _gigabytes(size: float) -> str:
    return f"{size / 2**30:.1f} GB"
