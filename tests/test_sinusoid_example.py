"""The sine wave example: what it draws, and that it runs, stops and goes on."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))

import sinusoid  # noqa: E402 (found only now)
from results import as_markdown, once, with_interval  # noqa: E402


def run(*arguments, **more):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "examples" / "sinusoid.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, **more)


def test_a_task_is_one_sine_wave():
    tasks = sinusoid.draw(torch.Generator().manual_seed(0), tasks=3, shots=40, query=40, inputs="task")
    for t in range(3):
        points = torch.cat([tasks.support[0][t], tasks.query[0][t]])
        y = torch.cat([tasks.support[1][t], tasks.query[1][t]])
        amplitude, sine, cosine = points[0, 1:]
        assert torch.allclose(points[:, 1:], points[0, 1:].expand(80, -1))
        assert 0.1 <= amplitude <= 5
        assert points[:, 0].abs().max() <= 5
        assert torch.allclose(y, amplitude * (points[:, 0].sin() * cosine - points[:, 0].cos() * sine), atol=1e-4)


def test_every_algorithm_takes_a_step_and_is_judged():
    for name, one in sinusoid.ALGORITHMS.items():
        begin = sinusoid.learner(sinusoid.start(one.inputs, 0), one.inner)
        tasks = sinusoid.draw(torch.Generator().manual_seed(0), shots=5, query=5, inputs=one.inputs)
        value, gradient = one.gradient(sinusoid.squared_error, one.inner, begin, tasks)
        assert torch.isfinite(value), name
        assert all(torch.isfinite(g).all() for part in gradient for g in part.values()), name
        losses = sinusoid.query_losses(sinusoid.squared_error, sinusoid.at_test(one.inner), begin, tasks)
        assert losses.shape == (sinusoid.BATCH, 11), name


def test_what_was_made_by_the_same_settings_is_not_made_again(tmp_path):
    path, calls = tmp_path / "one.npz", []

    def make():
        calls.append(1)
        return np.full(3, len(calls))

    assert once(path, "a", make).tolist() == once(path, "a", make).tolist() == [1, 1, 1]
    assert once(path, "b", make).tolist() == once(path, "b", make).tolist() == [2, 2, 2]


def test_validation_and_held_out_tasks_are_others():
    validation, test = (sinusoid.held_out(50, seed, 5, "") for seed in (1, 2))
    assert not torch.equal(validation.support[1], test.support[1])


def test_an_interval_covers_tasks_and_seeds():
    generator = torch.Generator().manual_seed(0)
    alike = torch.randn(400, generator=generator).expand(3, -1).numpy()
    apart = alike + torch.tensor([[-1.0], [0.0], [1.0]]).numpy()
    width = float(with_interval(alike).split("± ")[1])
    assert width == pytest.approx(
        1.96 / 400**0.5, rel=0.1
    )  # three seeds on the same tasks are no three times the tasks
    assert float(with_interval(apart).split("± ")[1]) > 5 * width
    assert with_interval(np.array([[2.0] * 38 + [np.nan, 1e9]])) == "2.000 ± 0.000 (2 of 40 diverge)"
    assert as_markdown([{"a": "x", "b": "1"}]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"


@pytest.mark.slow
def test_a_small_training_adapts_and_pretraining_does_not(tmp_path):
    arguments = ["--out", str(tmp_path), "--steps", "3000", "--seeds", "1", "--tasks", "200", "--shots", "10"]
    arguments += ["--algorithms", "MAML", "pretraining"]
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sinusoid-10.png").stat().st_size > 10_000
    rows = {line.split(" | ")[0]: line.split(" | ") for line in done.stdout.splitlines() if " ± " in line}
    errors = {name: [float(cell.split(" ± ")[0]) for cell in cells[1:]] for name, cells in rows.items()}
    assert errors["| MAML"][3] < 0.5 * errors["| MAML"][0]
    assert errors["| MAML"][3] < 0.5 * errors["| pretraining"][3]
    fewer = run(*[a if a != "200" else "100" for a in arguments])
    assert "100 held-out tasks" in fewer.stdout
    assert fewer.stdout.splitlines()[-3] != done.stdout.splitlines()[-3]
    again = run(*arguments)
    assert "step 3,000" not in again.stdout  # nothing is trained twice
    assert again.stdout.splitlines()[-4:] == done.stdout.splitlines()[-4:]
