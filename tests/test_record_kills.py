"""A recording killed by SIGKILL at random moments, its workers with it, ends as an undisturbed one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from tables import classification, regression

from autometa.records.own_files import rows_of
from autometa.records.recorder import key_of

QUICK = str(Path(__file__).parent / "quick.toml")
KILLS = 10
TIMES = {"fit_s", "predict_s", "cpu_s", "peak_mb"}


def command(folder, into):
    return [
        sys.executable, "-m", "autometa", "record", str(folder / "colours.csv"), str(folder / "numbers.csv"), "--into",
        str(into), "--configs", "30", "--shared", "20", "--workers", "2", "--space", QUICK, "--seed", "3",
    ]  # fmt: skip


def timeless(into):
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in rows_of(into)]
    return sorted(rows, key=key_of)


def lines(shard):
    return shard.read_bytes().count(b"\n") if shard.exists() else 0


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path):
    classification(200).to_csv(tmp_path / "colours.csv", index=False)
    regression(200).to_csv(tmp_path / "numbers.csv", index=False)
    subprocess.run(command(tmp_path, tmp_path / "whole"), check=True, capture_output=True)
    rng = np.random.default_rng(0)
    lengths = []
    shard = tmp_path / "killed" / "recording" / "rows.jsonl"
    while len(lengths) < KILLS:
        process = subprocess.Popen(
            command(tmp_path, tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        # After some rows more, or none: in the beginning, in a write, between two.
        goal = lines(shard) + int(rng.integers(0, 13))
        while lines(shard) < goal and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3))
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family if rng.random() < 0.5 else family[:1]:
            if member.is_running():
                os.kill(member.pid, signal.SIGKILL)
        process.wait()
        if process.returncode == 0:
            break  # it was done before the kill
        lengths.append(lines(shard))
        time.sleep(0.5)
    subprocess.run(command(tmp_path, tmp_path / "killed"), check=True, capture_output=True)
    assert timeless(tmp_path / "killed") == timeless(tmp_path / "whole")
    assert [json.loads(line) for line in shard.read_bytes().splitlines()]
    assert lengths == sorted(lengths)
    assert len(lengths) == KILLS
    assert len(set(lengths)) > KILLS // 2  # they fell into the work, not only into its beginning
