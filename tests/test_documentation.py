"""The Python blocks of the documentation run, one after the other, as a reader would run them."""

import re
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


WITH_RAY = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray Tune is not installed (extra 'ray')"),
    # Old versions of Ray leave files of their own open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize(
    "page", ["adaptation.md", pytest.param("clusters.md", marks=WITH_RAY), "learned_policy.md", "optuna.md"]
)
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tempfile.TemporaryDirectory(prefix="rd") as short:  # Ray's sockets have a longest path
        monkeypatch.setenv("RAY_TMPDIR", short)
        monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or older ones warn
        run_blocks(page)


def run_blocks(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    names = {}
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], str(DOCS / page), "exec"), names)  # noqa: S102 (that is the test)
    assert names
