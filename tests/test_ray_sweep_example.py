"""The example of a Ray Tune sweep of one's own."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray.tune", reason="Ray Tune is not installed (extra 'ray')")

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import ray_sweep

from autometa.integrations.ray_spaces import RaySpace


def test_each_config_is_a_model():
    space = RaySpace.of(ray_sweep.SPACE)
    configs = [space.suggestion(space.space.sample(np.random.default_rng(seed))) for seed in range(8)]
    assert {config["model"]["kind"] for config in configs} == {"trees", "linear"}
    x = np.random.default_rng(0).normal(size=(60, 2))
    for config in configs:
        assert ray_sweep.model_of(config, 3).fit(x, x[:, 0] > 0).predict(x).shape == (60,)


@pytest.mark.slow
def test_a_short_sweep_finds_a_good_model():
    command = [sys.executable, ray_sweep.__file__, "--trials", "8"]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    (auc,) = re.findall(r"^auc (\S+) by", child.stdout, re.MULTILINE)
    assert float(auc) > 0.95
