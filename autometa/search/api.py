"""`autometa.search`: a table in, a fitted ensemble and a run folder out."""

from __future__ import annotations

import time
import weakref
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from autometa.errors import InputError
from autometa.search.clock import Clock
from autometa.search.remote_copy import fetch, is_address
from autometa.search.resources import granted_cores, granted_memory
from autometa.search.run_folder import RunFolder
from autometa.search.settings import PolicyName, Settings, most_workers, parse_bytes, parse_duration
from autometa.tables.model import Model
from autometa.tables.sources import table_file

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from autometa.search.loop import Executor
    from autometa.search.status import Watcher

SHARE_OF_MEMORY = 0.8  # of what is free, unless the user says otherwise


class SearchResult:
    """What a search left behind: the fitted ensemble and the run folder it stands in.

    Args:
        path: the run folder.

    Attributes:
        model: the fitted ensemble.
    """

    def __init__(self, path: str | Path) -> None:
        self._folder = RunFolder.open(Path(path))
        self.model = Model.load(self._folder.model)

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._folder.path

    @property
    def leaderboard(self) -> pd.DataFrame:
        """One row per trial, the best first."""
        import pandas as pd

        return pd.read_csv(self._folder.leaderboard)

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return self._folder.read_json(self._folder.metrics)

    @property
    def classes(self) -> list[Any]:
        """The classes in the order of :meth:`predict_proba`'s columns; empty for numbers."""
        return list(self.model.codec.labels)

    def predict(self, data: pd.DataFrame | str | Path) -> NDArray[np.generic]:
        """The class or number of each row, shape (n,).

        Raises:
            SchemaError: a column that the model needs is missing.
        """
        return self.model.labels(self.model.predict_raw(_frame(data))[0])

    def predict_proba(self, data: pd.DataFrame | str | Path) -> NDArray[np.floating]:
        """The probability of each class, shape (n, c).

        Raises:
            SchemaError: a column that the model needs is missing.
            InputError: the target is a number.
        """
        if not self.model.codec.classes:
            raise InputError("probabilities are for classes; this model predicts a number")
        return self.model.predict_raw(_frame(data))[0]


def load(path: str | Path) -> SearchResult:
    """The result of an earlier search, read without unpickling anything.

    Args:
        path: its run folder, or the address of a copy, which is read into a temporary folder.

    Raises:
        RunError: it is not a run folder.
        ModelError: it holds no model yet, or a damaged one.
    """
    if not is_address(path):
        return SearchResult(path)
    folder = TemporaryDirectory(prefix="autometa-copy-")
    fetch(str(path), Path(folder.name) / "run", to_read=True)
    result = SearchResult(Path(folder.name) / "run")
    weakref.finalize(result.model, folder.cleanup)  # its files are read when they are needed
    return result


def search(
    data: pd.DataFrame | str | Path,
    *,
    target: str | None = None,
    task: Literal["auto", "classification", "regression"] = "auto",
    metric: str | None = None,
    time_limit: float | str | None = None,
    trials: int | None = None,
    space: str = "tabular",
    out: str | Path | None = None,
    seed: int = 0,
    workers: int | None = None,
    memory: str | int | None = None,
    policy: PolicyName = "portfolio",
    test: str | Path | None = None,
    group: str | None = None,
    time_column: str | None = None,
    embargo: int = 0,
    weight: str | None = None,
    learn: bool = True,
    ray: str | None = None,
    gpus_per_trial: float = 0.0,
    cpus_per_trial: int = 1,
    max_concurrent: int | None = None,
    storage: str | None = None,
    report: bool = True,
    executor: Executor | None = None,
    watcher: Watcher | None = None,
    started: float | None = None,
) -> SearchResult:
    """Search for the best ensemble on a table within the promised time.

    Args:
        data: a DataFrame, or a csv, csv.gz, tsv or parquet file, or "-" for standard input.
        target: column to predict; by default the one named target, class, label or y, else the last.
        task: "auto", "classification" or "regression".
        metric: its name; by default auc for two classes, log_loss for more, rmse for numbers.
        time_limit: wall time for everything, in seconds or as "60s", "5m", "2h". Without it and
            without ``trials``: five minutes.
        trials: how many configs to try. Without a time limit the run is reproducible.
        space: name of a shipped search space, or a TOML file.
        out: run folder; by default runs/NAME-TIMESTAMP. An address such as s3://bucket/run gets a copy of that
            folder while the search goes on, from which any machine can go on; see docs/clusters.md.
        seed: the one source of randomness.
        workers: fits that run at the same time; by default one per core granted.
        memory: for all processes of this machine, in bytes or as "4G"; by default most of what is free.
        policy: "portfolio", "learned", "tpe", "gp" or "random".
        test: a labelled file that the final model is scored on.
        group: column whose equal values never stand on both sides of a split.
        time_column: column by which training rows lie before validation rows.
        embargo: rows left out between the two.
        weight: column of sample weights.
        learn: whether later searches of this user may learn from this one; see docs/own_runs.md.
        ray: run the fits on a Ray cluster: its HOST:PORT, or "auto" for the running one, else one that is
            started here; see docs/clusters.md.
        gpus_per_trial: that each fit takes of its node; networks train there. Shares such as 0.25 are possible.
        cpus_per_trial: likewise; a fit uses as many threads.
        max_concurrent: fits on the cluster at a time, at most; by default as many as it has room for.
        storage: URL of a database for the trials, such as postgresql://host/name; by default a journal in the run
            folder.
        report: whether to write report.html.
        executor: where fits run; by default worker processes of this machine.
        watcher: is shown the search; by default nobody.
        started: when the time began to run, in seconds since the epoch; by default now.

    Raises:
        InputError: the table or an option cannot be used.
        RunError: the run folder cannot be used.
    """
    started = time.time() if started is None else started
    named = data if isinstance(data, str | Path) else "DataFrame"
    granted = _memory(memory)
    if ray is not None:
        if workers is not None:
            raise InputError("workers are of this machine; on a Ray cluster, give --max-concurrent instead")
        workers = 1  # until the cluster says how many there are
    settings = Settings(
        data=str(named),
        target=target,
        task=task,
        metric=metric,
        time_limit=parse_duration(time_limit) if isinstance(time_limit, str) else time_limit,
        trials=trials,
        space=str(Path(space).absolute()) if space.endswith(".toml") else space,
        seed=seed,
        workers=min(granted_cores(), most_workers(granted)) if workers is None else workers,
        memory=granted,
        policy=policy,
        test=None if test is None else _test_file(test),
        group=group,
        time_column=time_column,
        embargo=embargo,
        weight=weight,
        learn=learn,
        ray=ray,
        gpus_per_trial=gpus_per_trial,
        cpus_per_trial=cpus_per_trial,
        max_concurrent=max_concurrent,
        copy=str(out) if out is not None and is_address(out) else None,
        storage=storage,
    )
    from autometa.search.starting import start

    clock = Clock(settings.time_limit, started)
    folder = Path(out) if out is not None and not is_address(out) else _default_folder(str(named))
    start(settings, data, folder, clock, executor=executor, watcher=watcher, report=report)
    return SearchResult(folder)


def resume(path: str | Path, *, watcher: Watcher | None = None, started: float | None = None) -> SearchResult:
    """Go on with a run that was stopped or killed; no finished trial is lost or run again.

    Args:
        path: the run folder, or the address of a copy: it is brought to runs/NAME-TIMESTAMP of this machine first.
        watcher: is shown the search; by default nobody.
        started: when the time began to run again, in seconds since the epoch; by default now.

    Raises:
        RunError: it is not a run folder, or another process is at work in it.
    """
    from autometa.search.starting import go_on

    started = time.time() if started is None else started
    address = str(path) if is_address(path) else None
    folder = Path(path) if address is None else _default_folder(address.rstrip("/"))
    if address is not None:
        fetch(address, folder)
    go_on(folder, started=started, watcher=watcher, copy=address)
    return SearchResult(folder)


def _test_file(test: str | Path) -> str:
    """Its whole path, which is good in any folder that the search is resumed from."""
    if str(test) == "-":
        raise InputError("the test rows must stand in a file: they are read when the search is over, not '-'")
    with table_file(test):  # looked for now, since the search would be in vain
        return str(Path(test).expanduser().absolute())


def _memory(memory: str | int | None) -> int:
    if memory is None:
        return int(SHARE_OF_MEMORY * granted_memory())
    return parse_bytes(memory) if isinstance(memory, str) else memory


def _default_folder(source: str) -> Path:
    name = Path(source).name.split(".")[0] or "table"
    name = "stdin" if source == "-" else name
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = Path("runs") / f"{name}-{stamp}"
    number = 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{name}-{stamp}-{number}"
    return path


def _frame(data: pd.DataFrame | str | Path) -> pd.DataFrame:
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    from autometa.tables.reading import read_table

    return read_table(data).frame
