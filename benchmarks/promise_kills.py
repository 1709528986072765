"""Kill searches with SIGKILL, look at what is left, resume, and compare with what was there before.

A moment is chosen by the clock, or by what is seen in the run folder: a file that grows or a temporary
name that appears means that a write is going on in that very moment.
"""

import contextlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psutil
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import autometa
from benchmarks.promise_runs import command, difference, spawn

WORKERS_END_IN = 10.0  # seconds that processes may live on; one that was loading libraries first ends that
LOOK = 0.0005  # seconds between two looks into a run folder

Sight = tuple[object, ...]


@dataclass(frozen=True)
class Kill:
    """One kill, or two where the resumed search is killed as well, and what was found.

    Attributes:
        kind: what the moment was chosen by; see MOMENTS.
        limit: "trials" or "time", whatever ended the search.
        at_s: seconds from the start of the process to its kill.
        finished: trials that were finished at the (last) kill.
        torn: whether half a line was left at the end of the journal.
        model: whether there was a model, which was then loaded and used.
        orphans_s: seconds until the last worker process was gone.
        resumed_s: wall time of the resumed search.
        broken: what did not hold, empty if everything did.
    """

    version: str
    number: int
    kind: str
    limit: str
    at_s: float
    finished: int
    torn: int
    model: int
    orphans_s: float
    resumed_s: float
    broken: str


def journal_size(run: Path) -> Sight:
    """Changes with every line of the journal."""
    return ((run / "journal.log").stat().st_size,)


def model_names(run: Path) -> Sight:
    """Changes with every file of a model that is being written."""
    model = run / "model"
    names = sorted(p.name for p in model.iterdir())
    folds = sorted(str(p) for p in model.glob("members/*/*"))
    return (*names, *folds)


def table_names(run: Path) -> Sight:
    """Changes while leaderboard.csv, metrics.json or the report are being written."""
    return tuple(sorted(p.name for p in run.iterdir()))


def first_names(run: Path) -> Sight:
    """Changes while the table is being read and written to where workers find it."""
    return () if (run / "run.json").exists() else (*run.rglob("*"), run)


def last_names(run: Path) -> Sight:
    """Changes while the last files are being written and what only a running search needs is removed."""
    names = table_names(run)
    if not any(str(name).startswith("report.") for name in names):
        return ()
    return (*names, *sorted(str(p) for p in run.glob("*work*/*")), len(list(run.glob("*work*/trials/*"))))


# What is looked at, and how many changes there are to choose from in a whole run.
SIGHTS: dict[str, Callable[[Path], Sight]] = {
    "reading": first_names,
    "journal": journal_size,
    "model": model_names,
    "tables": table_names,
    "end": last_names,
}
MOMENTS = ("random", "journal", "model", "resume", "tables", "end", "reading")


@dataclass(frozen=True)
class Setting:
    """What is searched.

    Attributes:
        table: the dataset.
        space: a TOML file.
        options: of `autometa search`, --out left out.
        limit: "trials" or "time".
        whole: run folder of a run that nobody killed.
        whole_s: wall time of that run.
        changes: of what each sight shows, in that run.
    """

    table: Path
    space: Path
    options: tuple[str, ...]
    limit: str
    whole: Path
    whole_s: float
    changes: dict[str, int]


def look(run: Path, sight: Callable[[Path], Sight]) -> Sight:
    """What a sight shows now; nothing while the folder is not there, or changes under the eye."""
    try:
        return sight(run)
    except OSError:
        return ()


def setting(table: Path, space: Path, options: list[str], limit: str, folder: Path) -> Setting:
    """Run a search to its end, to compare with and to learn how often what is looked at changes."""
    whole = folder / f"whole-{limit}"
    started = time.monotonic()
    arguments = [str(table), "--space", str(space), "--quiet", *options]
    seen, changes = dict.fromkeys(SIGHTS, ()), dict.fromkeys(SIGHTS, 0)
    with spawn(command("search", *arguments, "--out", whole), log=folder / "log.txt") as process:
        while process.poll() is None:
            for name, sight in SIGHTS.items():
                now = look(whole, sight)
                changes[name] += now not in ((), seen[name])
                seen[name] = now
            time.sleep(LOOK)
    if process.returncode:
        raise SystemExit(f"the search itself failed:\n{(folder / 'log.txt').read_text(errors='replace')}")
    return Setting(table, space, tuple(arguments), limit, whole, time.monotonic() - started, changes)


def killed(process: "subprocess.Popen[bytes]", run: Path, kind: str, setting: Setting, rng: random.Random) -> bool:
    """Kill a search at a moment of a kind; whether it was still running then."""
    if kind in SIGHTS:
        sight = SIGHTS[kind]
        wanted = rng.randint(1, max(1, setting.changes[kind]))
        seen, changes = look(run, sight), 0
        while process.poll() is None:
            now = look(run, sight)
            changes += now not in ((), seen)
            seen = now
            if changes >= wanted:
                break
            time.sleep(LOOK)
    else:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=rng.uniform(0.0, setting.whole_s))
    alive = process.poll() is None
    process.kill()
    process.wait()
    return alive


def wait_for_orphans(group: int) -> float:
    """Seconds until no process of a killed search is left; infinite where some had to be killed."""
    started = time.monotonic()
    while left := members_of(group):
        if time.monotonic() - started > WORKERS_END_IN:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            return float("inf")
        time.sleep(0.02)
    return time.monotonic() - started


def members_of(group: int) -> list[psutil.Process]:
    """The living processes of a process group."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def finished(journal: Path) -> dict[int, Any]:
    """What the whole lines of a journal say of the finished trials, read by Optuna alone."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "journal.log"
        lines = journal.read_bytes() if journal.exists() else b""
        copy.write_bytes(lines[: lines.rfind(b"\n") + 1])
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = JournalStorage(JournalFileBackend(str(copy)))
        trials = [t for study in storage.get_all_studies() for t in storage.get_all_trials(study._study_id)]  # noqa: SLF001
    return {t.number: (t.state.name, t.values, t.params, t.user_attrs) for t in trials if t.state.is_finished()}


def tear(journal: Path, *, seed: int) -> bool:
    """Leave half a line, as a kill inside a write does: no clock hits the microseconds that one takes."""
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    if not lines or not lines[-1].endswith(b"\n"):
        return bool(lines)
    with journal.open("ab") as end:
        end.write(lines[-1][: random.Random(seed).randint(1, len(lines[-1]) - 1)])
    return True


def use_model(run: Path, table: Path) -> tuple[bool, str]:
    """Whether there is a model, and what is wrong with it."""
    if not (run / "model" / "model.json").exists():
        return False, "a leaderboard without a model" if (run / "leaderboard.csv").exists() else ""
    try:
        values = autometa.load(run).predict_proba(table)
    except Exception as error:  # noqa: BLE001 (whatever it raises, the promise is broken)
        return True, f"the model cannot be used: {type(error).__name__}: {error}"
    return True, "" if np.isfinite(values).all() else "the model predicts what is not finite"


def run_kill(number: int, kind: str, setting: Setting, *, folder: Path, version: str, seed: int) -> Kill | None:
    """Start a search, kill it, resume it, compare; None where it had ended before it could be killed."""
    rng = random.Random(f"{seed} {number} {kind}")
    run, log = folder / f"run-{number}", folder / f"log-{number}.txt"
    shutil.rmtree(run, ignore_errors=True)
    broken = []
    search = command("search", *setting.options, "--out", run)
    resume = command("resume", run, "--quiet")
    moments = ["random", rng.choice(["random", "journal", "model"])] if kind == "resume" else [kind]
    before: dict[int, Any] = {}
    orphans, at, torn, model = 0.0, 0.0, False, False
    begun = False
    for moment in moments:
        started = time.monotonic()
        # A search that was killed before it had read its table is started anew.
        with spawn(resume if begun else search, log=log) as process:
            alive = killed(process, run, moment, setting, rng)
        if not alive:
            return None
        at = time.monotonic() - started
        orphans = max(orphans, wait_for_orphans(process.pid))
        begun = (run / "run.json").exists()
        torn = kind == "journal" and rng.random() < 0.5 and tear(run / "journal.log", seed=seed)
        model, wrong = use_model(run, setting.table)
        broken += [wrong] if wrong else []
        after = finished(run / "journal.log")
        broken += lost(before, after)
        before = after
    if orphans == float("inf"):
        broken.append(f"processes were alive {WORKERS_END_IN:g} s after the kill")
    started = time.monotonic()
    with spawn(resume if begun else search, log=log) as process:
        code = process.wait()
    took = time.monotonic() - started
    if code:
        broken.append(f"resume failed with {code}: {log.read_text(errors='replace').strip().splitlines()[-1][:200]}")
    else:
        broken += lost(before, finished(run / "journal.log")) + whole(run, setting)
    if not broken:
        shutil.rmtree(run)
    return Kill(
        version=version,
        number=number,
        kind=kind,
        limit=setting.limit,
        at_s=round(at, 3),
        finished=len(before),
        torn=int(torn),
        model=int(model),
        orphans_s=round(orphans, 2),
        resumed_s=round(took, 2),
        broken="; ".join(broken),
    )


def lost(before: dict[int, Any], after: dict[int, Any]) -> list[str]:
    """Finished trials that are gone or have other values."""
    wrong = sorted(n for n, trial in before.items() if after.get(n) != trial)
    return [f"finished trials changed or gone: {wrong}"] if wrong else []


def whole(run: Path, setting: Setting) -> list[str]:
    """What a completed run lacks."""
    broken = []
    missing = {p.name for p in setting.whole.iterdir()} ^ {p.name for p in run.iterdir()}
    if missing:
        broken.append(f"files that should not be there, or should: {sorted(missing)}")
    left = [str(p.relative_to(run)) for p in run.rglob("*") if p.name.startswith("new-") or p.suffix == ".tmp"]
    if left:
        broken.append(f"temporary files left: {left[:3]}")
    metrics = json.loads((run / "metrics.json").read_text())
    trials = sorted(autometa.load(run).leaderboard.trial)
    if trials != list(range(metrics["trials"])):
        broken.append(f"the leaderboard has the trials {trials}")
    _, wrong = use_model(run, setting.table)
    broken += [wrong] if wrong else []
    if setting.limit == "trials":
        differs = difference(run, setting.whole, setting.table)
        broken += [f"not the run that it would have been: {differs}"] if differs else []
    return broken
