"""The example tables are what their script writes."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "examples" / "data"


@pytest.mark.parametrize("name", ["tumours.csv", "wines.csv"])
def test_script_writes_the_shipped_tables(name: str, tmp_path: Path) -> None:
    runpy.run_path(str(DATA / "make_examples.py"))["main"](tmp_path)
    assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()
