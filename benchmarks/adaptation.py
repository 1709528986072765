"""Time and memory of a meta-step: tasks together against one after the other, and chunks against inner steps.

python -m benchmarks.adaptation

Writes docs/adaptation.md between its markers. Each comparison is timed in turns within one run, so that the ratio holds
on a busy machine. On a machine with a CUDA device, its rows are measured as well.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autometa.adaptation import InnerLoop, Learner, Params, Tasks, meta_gradient
from benchmarks.report import table, write_between

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "adaptation.md"
TASKS, SHOTS, STEPS = 25, 10, 5
ROUNDS = 15
SMALL, WIDE = (1, 40, 40, 1), (32, 256, 256, 1)
WIDE_TASKS, WIDE_SHOTS = 64, 100
INNER_STEPS = (1, 2, 5, 10, 20)
CHUNKS = (64, 16, 4, 1)


def loss(params: Params, data: tuple[Tensor, Tensor]) -> Tensor:
    """Mean squared error of a network whose weights stand in order."""
    x, y = data
    layers = len(params) // 2
    for i in range(layers):
        x = x @ params[f"w{i}"] + params[f"b{i}"]
        x = torch.relu(x) if i + 1 < layers else x
    return ((x - y) ** 2).mean()


def setting(widths: tuple[int, ...], tasks: int, shots: int, device: str) -> tuple[Params, Tasks]:
    """A network and tasks of random numbers."""
    g = torch.Generator().manual_seed(0)
    params = {}
    for i, (rows, columns) in enumerate(pairwise(widths)):
        params[f"w{i}"] = (torch.randn(rows, columns, generator=g) / rows**0.5).to(device)
        params[f"b{i}"] = torch.zeros(columns, device=device)

    def some() -> tuple[Tensor, Tensor]:
        x, y = (torch.randn(tasks, shots, n, generator=g).to(device) for n in (widths[0], widths[-1]))
        return x, y

    return params, Tasks(some(), some())


def by_loop(params: Params, tasks: Tasks) -> Params:
    """The same meta-gradient as it is usually written: a loop over tasks and a graph through their inner steps."""
    params = {name: p.detach().requires_grad_() for name, p in params.items()}
    total = torch.zeros((), device=next(iter(params.values())).device)
    for t in range(len(tasks.query[0])):
        support, query = ((x[t], y[t]) for x, y in tasks)
        now = params
        for _ in range(STEPS):
            gradients = torch.autograd.grad(loss(now, support), list(now.values()), create_graph=True)
            now = {name: p - 0.01 * g for (name, p), g in zip(now.items(), gradients, strict=True)}
        total = total + loss(now, query) / len(tasks.query[0])
    return dict(zip(params, torch.autograd.grad(total, list(params.values())), strict=True))


def seconds(run: Callable[[], object], device: str) -> float:
    """Of one call."""
    began = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def speed(device: str) -> list[str]:
    """A row: milliseconds of both ways and their ratio."""
    params, tasks = setting(SMALL, TASKS, SHOTS, device)
    inner = InnerLoop(steps=STEPS, rate=0.01)
    together = partial(meta_gradient, loss, inner, Learner(params, {}), tasks)
    apart = partial(by_loop, params, tasks)
    for name, gradient in apart().items():
        assert torch.allclose(gradient, together()[1].params[name], rtol=1e-3, atol=1e-5), name
    rounds = np.array([[seconds(together, device), seconds(apart, device)] for _ in range(ROUNDS)])
    ratios = rounds[:, 1] / rounds[:, 0]
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    ms = 1000 * np.median(rounds, axis=0)
    return [device, f"{ms[0]:.1f}", f"{ms[1]:.1f}", f"{middle:.1f} ({low:.1f} to {high:.1f})"]


def megabytes(device: str, steps: int, chunk: int) -> float:
    """What one meta-step takes at its highest, beyond what was there before; in a process of its own on a CPU."""
    if device == "cuda":
        return peak_on_cuda(steps, chunk)
    asked = [sys.executable, "-m", "benchmarks.adaptation", "--peak", str(steps), str(chunk)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT)
    return float(json.loads(done.stdout))


def one_step(device: str, steps: int, chunk: int) -> Callable[[], object]:
    """A meta-step of the wide network, and before it one that brings in whatever PyTorch needs at all."""
    params, tasks = setting(WIDE, WIDE_TASKS, WIDE_SHOTS, device)
    small = Tasks(*((x[:1, :1], y[:1, :1]) for x, y in tasks))
    meta_gradient(loss, InnerLoop(), Learner(params, {}), small)
    return partial(meta_gradient, loss, InnerLoop(steps=steps), Learner(params, {}), tasks, chunk=chunk)


def peak_on_cpu(steps: int, chunk: int) -> float:
    """Growth of the largest resident size, in MB."""
    run = one_step("cpu", steps, chunk)
    before = high_water()
    run()
    return (high_water() - before) / 1024


def high_water() -> int:
    """Largest resident size of this process so far, in KB; ru_maxrss would count the parent's as well."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise SystemExit("memory is measured on Linux")


def peak_on_cuda(steps: int, chunk: int) -> float:
    """Growth of the largest allocation, in MB."""
    run = one_step("cuda", steps, chunk)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def named(widths: tuple[int, ...], tasks: int, shots: int) -> str:
    """The setting in words."""
    layers = "-".join(map(str, widths))
    return f"second order, one thread, a network of {layers}, {tasks} tasks of {shots} + {shots} points"


def section(devices: list[str]) -> str:
    """Both tables for each device."""
    parts = [
        f"One meta-step, {named(SMALL, TASKS, SHOTS)}, {STEPS} inner steps, PyTorch {torch.__version__}.",
        f"Milliseconds are medians of {ROUNDS} turns; ratios are of turns: median, and where eight in ten lie.\n",
        table(["device", "together, ms", "one after the other, ms", "ratio"], [speed(d) for d in devices]),
        f"\nMegabytes that one meta-step takes, {named(WIDE, WIDE_TASKS, WIDE_SHOTS)}:",
    ]
    for device in devices:
        lines = [[str(c), *(f"{megabytes(device, s, c):.0f}" for s in INNER_STEPS)] for c in CHUNKS]
        parts += ["", table([f"tasks at a time ({device})", *(f"{s} inner steps" for s in INNER_STEPS)], lines)]
    return "\n".join(parts) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peak", nargs=2, type=int, metavar=("STEPS", "CHUNK"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.peak:
        print(peak_on_cpu(*given.peak))
        return
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    text = section(devices)
    write_between(DOCS, "cost", text)
    print(platform.processor(), text)


if __name__ == "__main__":
    main()
