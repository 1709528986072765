"""What `autometa doctor` finds, and that finding it is quick."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from autometa.search import doctor
from autometa.search.doctor import Check, diagnose, render

ROOT = Path(__file__).parents[1]


@pytest.fixture
def found() -> dict[str, Check]:
    return {check.name: check for check in diagnose()}


def test_what_is_installed_is_found(found) -> None:
    import numpy as np
    import optuna

    assert (found["numpy"].state, found["numpy"].value) == ("ok", np.__version__)
    assert (found["optuna"].state, found["optuna"].value) == ("ok", optuna.__version__)
    assert {check.value for check in found.values() if check.state == "error"} <= {"not installed"}
    assert {"python", "autometa", "torch", "optuna", "extra ray", "extra onnx"} <= set(found)
    assert {"cores", "threads", "memory", "GPU", "temporary files", "run folders"} <= set(found)
    json.dumps([vars(check) for check in found.values()])


def test_a_missing_package_is_an_error_with_its_cure(monkeypatch) -> None:
    def without(name: str) -> str:
        if name in ("torch", "ray"):
            raise PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(doctor, "version", without)
    found = {check.name: check for check in diagnose()}
    assert found["torch"].state == "error"
    assert found["torch"].advice.startswith("pip install 'torch>=")
    assert found["extra ray"].state == "absent"
    assert found["extra ray"].advice == "pip install 'autometa[ray]'"
    assert found["extra xgboost"].state == "ok"


def test_either_wheel_of_xgboost_will_do(monkeypatch) -> None:
    def only_cuda(name: str) -> str:
        if name == "xgboost-cpu":
            raise PackageNotFoundError
        return "3.1"

    monkeypatch.setattr(doctor, "version", only_cuda)
    assert {check.name: check for check in diagnose()}["extra xgboost"].state == "ok"


def test_requirements_are_known_installed_or_not(monkeypatch) -> None:
    lines = ["torch>=2.9", "ray[tune]>=2.50; extra == 'ray'", 'xgboost-cpu>=3.1 ; extra == "xgboost"']
    monkeypatch.setattr(doctor, "requires", lambda _: lines)
    assert doctor._requirements() == {"": ["torch>=2.9"], "ray": ["ray[tune]>=2.50"], "xgboost": ["xgboost-cpu>=3.1"]}

    def absent(_: str) -> list[str]:
        raise PackageNotFoundError

    monkeypatch.setattr(doctor, "requires", absent)
    assert "torch" in [doctor._name(line) for line in doctor._requirements()[""]]


def test_a_gpu_is_asked_of_the_driver(monkeypatch, tmp_path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(doctor, "_cuda_of_torch", lambda: "12.8")
    assert doctor._gpu() == Check("GPU", "ok", "NVIDIA H100, 81559 MiB; torch with CUDA 12.8")
    monkeypatch.setattr(doctor, "_cuda_of_torch", lambda: None)
    assert doctor._gpu().advice
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert doctor._gpu().state == "absent"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    program.write_text("#!/bin/sh\nexit 9\n")
    assert doctor._gpu().state == "absent"


@pytest.mark.parametrize(
    ("line", "said"),
    [("cuda: Optional[str] = '12.8'", "12.8"), ("cuda = None", None), ("hip = '6'", None), ("(", None)],
)
def test_the_cuda_version_of_torch_is_read_without_importing_it(monkeypatch, tmp_path, line, said) -> None:
    (tmp_path / "version.py").write_text(f"from typing import Optional\n{line}\n")
    found = type("Found", (), {"locate_file": lambda self, name: tmp_path / Path(name).name})()
    monkeypatch.setattr(doctor, "distribution", lambda _: found)
    assert doctor._cuda_of_torch() == said


def test_the_installed_torch_has_a_file_with_its_cuda_version() -> None:
    import torch

    assert doctor._cuda_of_torch() == torch.version.cuda


def test_a_running_cluster_is_named(monkeypatch) -> None:
    for address, value in (("10.0.0.1:6379", "a cluster at 10.0.0.1:6379"), (None, "no cluster is running")):
        monkeypatch.setattr(doctor, "running_cluster", lambda address=address: address)
        assert doctor._cluster() == f"; {value}"


def test_little_memory_and_disk_are_warned_of(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "granted_memory", lambda: 2**30)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    found = {check.name: check for check in diagnose()}
    assert found["memory"].state == found["run folders"].state == "warning"
    assert found["memory"].advice


def test_thread_variables_are_shown(monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS=3" in doctor._threads().value


def test_it_is_written_for_people() -> None:
    checks = [Check("python", "ok", "3.11"), Check("extra ray", "absent", "not installed", "pip install x")]
    assert render(checks).splitlines() == [
        "ok  python     3.11",
        " -  extra ray  not installed",
        "               pip install x",
    ]
    assert render([]) == ""


def test_it_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; t = time.process_time()\n"
        "from autometa.search.doctor import diagnose; diagnose()\n"
        "assert time.process_time() - t < 1, time.process_time() - t\n"
        "heavy = {'torch', 'ray', 'pandas', 'sklearn', 'optuna', 'numpy', 'xgboost', 'onnx'}\n"
        "assert not heavy & {m.split('.')[0] for m in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
