"""The deployments in examples/ray: valid by the schemas of those who read them, and in agreement with one another."""

import contextlib
import copy
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import psutil
import pytest
import typer

import autometa
from autometa.cli import app

yaml = pytest.importorskip("yaml", reason="PyYAML comes with the extra ray")
jsonschema = pytest.importorskip("jsonschema", reason="jsonschema comes with the extra ray")

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "ray"
NAMES = ("cluster.yaml", "rayjob.yaml", "slurm.sh")
PINNED = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
ON_A_CLUSTER = {"--ray", "--gpus-per-trial", "--cpus-per-trial", "--max-concurrent"}


def read(name):
    return yaml.safe_load((FOLDER / name).read_text())


def searches(name):
    """The searches that a file starts or tells to start, as words."""
    lines = re.sub(r"\n#  +|\\\n|\n {4}(?=--)", " ", (FOLDER / name).read_text())
    return [shlex.split(found.strip("'")) for found in re.findall(r"autometa search [^#\n']*", lines)]


def options(words):
    return {a: b for a, b in itertools.pairwise(words) if a.startswith("--")}


def minutes(text):
    return float(text[:-1]) * {"s": 1 / 60, "m": 1, "h": 60}[text[-1]]


def nodes(name):
    """What a deployment has at most: nodes with workers, and CPUs and GPUs of each."""
    if name == "cluster.yaml":
        worker = read(name)["available_node_types"]["worker"]
        return worker["max_workers"], worker["resources"]["CPU"], worker["resources"]["GPU"]
    if name == "rayjob.yaml":
        (group,) = read(name)["spec"]["rayClusterSpec"]["workerGroupSpecs"]
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        return group["maxReplicas"], int(limits["cpu"]), int(limits["nvidia.com/gpu"])
    given = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", (FOLDER / name).read_text(), re.MULTILINE))
    return int(given["nodes"]), int(given["cpus-per-task"]), int(given["gpus-per-node"])


@pytest.mark.parametrize("name", NAMES)
def test_the_search_has_only_options_that_there_are_and_a_run_folder(name):
    (words,) = searches(name)
    command = typer.main.get_command(app).commands["search"]
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(options(words)) - known == set()
    assert set(options(words)) >= ON_A_CLUSTER | {"--time", "--out"}


@pytest.mark.parametrize("name", NAMES)
def test_trials_fit_on_the_nodes_and_fill_them(name):
    given = options(searches(name)[0])
    count, cpus, gpus = nodes(name)
    on_a_node = min(cpus // int(given["--cpus-per-trial"]), gpus / float(given["--gpus-per-trial"]))
    assert on_a_node == int(on_a_node) >= 1
    assert int(given["--max-concurrent"]) == count * on_a_node


def test_a_worker_is_there_before_the_search_asks_for_one():
    (group,) = read("rayjob.yaml")["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert 1 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert read("cluster.yaml")["available_node_types"]["worker"]["min_workers"] >= 1


def test_the_jobs_last_longer_than_the_searches_in_them():
    for name, allowed in (
        ("rayjob.yaml", read("rayjob.yaml")["spec"]["activeDeadlineSeconds"] / 60),
        ("slurm.sh", 60 * int(re.search(r"--time=(\d+):30:00", (FOLDER / "slurm.sh").read_text())[1]) + 30),
    ):
        assert allowed >= 1.5 * minutes(options(searches(name)[0])["--time"])


def test_versions_are_those_of_the_project():
    docker = (FOLDER / "Dockerfile").read_text()
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert f"ARG RAY_VERSION={PINNED['ray']}\n" in docker
    assert f"ARG VARIANT=py{python.replace('.', '')}-gpu\n" in docker
    assert read("rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == PINNED["ray"]
    images = set(re.findall(r"autometa-ray:\S+", docker + "".join((FOLDER / n).read_text() for n in NAMES)))
    assert images == {f"autometa-ray:{autometa.__version__}"}


def test_the_launcher_takes_the_cluster():
    util = pytest.importorskip("ray.autoscaler._private.util", reason="needs the extra ray")
    config = util.prepare_config(read("cluster.yaml"))
    util.validate_config(config)
    assert not [c for c in [*config["setup_commands"], *config["worker_setup_commands"]] if "pip" in c]
    config["provider"]["type"], config["nodes"] = "aws", 4
    with pytest.raises(jsonschema.ValidationError, match="nodes"):
        util.validate_config(config)


def test_the_operator_takes_the_job():
    schema, job = yaml.safe_load((ROOT / "tests" / "rayjob_schema.yaml").read_text()), read("rayjob.yaml")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(job, schema)
    wrong = copy.deepcopy(job)
    wrong["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(wrong, schema)
    pod = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    assert {m["name"] for m in pod["containers"][0]["volumeMounts"]} == {v["name"] for v in pod["volumes"]}


def test_scripts_are_valid_bash():
    for script in FOLDER.glob("*.sh"):
        subprocess.run(["bash", "-n", str(script)], check=True)  # noqa: S607


def copied():
    """What the image is made of, in the root of a checkout."""
    lines = re.findall(r"^COPY --chown=\S+ (.+) \S+$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    return [name for line in lines for name in line.split()]


def test_the_image_installs_what_is_in_the_checkout():
    assert all((ROOT / name).exists() for name in copied())
    (extras,) = re.findall(r"'\.\[(.+)\]'", (FOLDER / "Dockerfile").read_text())
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) - set(known) == set()


@pytest.mark.slow
def test_the_image_s_part_of_the_checkout_is_enough_for_a_wheel(tmp_path):
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "-w", str(tmp_path / "out"), str(tmp_path)]
    subprocess.run(command, check=True)
    assert list((tmp_path / "out").glob("autometa-*.whl"))


SRUN = """#!/usr/bin/env bash
# As SLURM's: a command on nodes; here all of them are this machine.
while [[ $1 == --* ]]; do shift; done
if [[ $1 == hostname ]]; then echo "::1 $ADDRESS"; else exec "$@"; fi
"""
DRIVER = """#!{python}
import json, os, sys, time
import ray
assert os.environ["RAY_AUTH_MODE"] == "token" and len(os.environ["RAY_AUTH_TOKEN"]) == 64
if sys.argv[1] == "search":
    ray.init(sys.argv[sys.argv.index("--ray") + 1], logging_level="error", log_to_driver=False)
    while sum(node["Alive"] for node in ray.nodes()) < 2:
        time.sleep(0.2)
    open(os.environ["SEEN"], "w").write(json.dumps([sys.argv[1:], ray.cluster_resources()]))
else:
    open(os.environ["SEEN"], "w").write(json.dumps([sys.argv[1:], {{}}]))
"""


def end_all(seen):
    """End what a script has left, as SLURM does with a job: the processes that know the place of its note."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SEEN") == seen:
                process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True])
def test_the_slurm_script_joins_its_nodes_and_goes_on_after_a_requeue(tmp_path, again):
    address = pytest.importorskip("ray.util", reason="needs the extra ray").get_node_ip_address()
    commands, venv, run = tmp_path / "commands", tmp_path / "venv" / "bin", tmp_path / "run"
    for folder in (commands, venv, run):
        folder.mkdir(parents=True)
    (venv / "activate").touch()
    if again:
        (run / "run.json").write_text("{}")
    ray = Path(sys.executable).parent / "ray"
    for name, text in {
        "srun": SRUN,
        "scontrol": "#!/bin/sh\necho one\necho two\n",
        "autometa": DRIVER.format(python=sys.executable),
        "ray": f'#!/bin/sh\nexec {ray} "$@"\n',
    }.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    number = 7_000 + os.getpid() % 1_000
    environment = {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "AUTOMETA_VENV": str(venv.parent),
        "ADDRESS": address,
        "SEEN": str(tmp_path / "seen"),
        "SLURM_JOB_ID": str(number),
        "SLURM_JOB_NODELIST": "nodes[1-2]",
        "SLURM_CPUS_PER_TASK": "3",
        "SLURM_GPUS_ON_NODE": "1",
        "RAY_DEFAULT_OBJECT_STORE_MEMORY_PROPORTION": "0.01",
    }
    said = tmp_path / "said"
    try:
        # Into a file: what is left running would hold a pipe open.
        with said.open("w") as file:
            command = ["bash", str(FOLDER / "slurm.sh"), "table.csv", str(run)]
            done = subprocess.run(command, env=environment, stdout=file, stderr=file, timeout=180, check=False)
    finally:
        end_all(environment["SEEN"])
        shutil.rmtree(f"/tmp/ray-{number}", ignore_errors=True)  # noqa: S108 (the script's own name for it)
    assert done.returncode == 0, said.read_text()
    words, resources = yaml.safe_load((tmp_path / "seen").read_text())
    if again:
        assert words == ["resume", str(run)]
    else:
        assert words[:4] == ["search", "table.csv", "--ray", f"{address}:{20_000 + number % 10_000}"]
        assert (resources["CPU"], resources["GPU"]) == (6.0, 2.0)
