"""What `autometa` promises by name is there, and stays there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import autometa

ROOT = Path(__file__).parents[1]


def test_names_are_sorted_and_said_once() -> None:
    assert autometa.__all__ == sorted(set(autometa.__all__))


@pytest.mark.parametrize("name", autometa.__all__)
def test_every_name_resolves(name: str) -> None:
    assert getattr(autometa, name) is not None
    assert name in dir(autometa)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = autometa.no_such_name


# Loading a subpackage sets an attribute of its name on the package, over a function of that name.
@pytest.mark.parametrize(
    "first", ["", "autometa.search", "import autometa.search", "import autometa.search.estimators"], ids=str
)
def test_search_stays_callable(first: str) -> None:
    code = f"import autometa\n{first}\nassert callable(autometa.search), autometa.search"
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
