"""The command line: parse, call one function, print. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json as jsonlib
import sys
import time
import traceback
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autometa.errors import AutometaError

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTED = time.time()  # close enough where the system does not tell when the process began

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A table in; a fitted ensemble, a leaderboard and a report out, within the promised time.",
)


class TaskChoice(StrEnum):
    """What the target is."""

    auto = "auto"
    classification = "classification"
    regression = "regression"


class PolicyChoice(StrEnum):
    """Who decides what to try next."""

    portfolio = "portfolio"
    tpe = "tpe"
    gp = "gp"
    random = "random"


DEBUG_HELP = "Show the traceback of an error."
JSON_HELP = "Print the result as JSON."
Data = Annotated[str, typer.Argument(help="csv, csv.gz, tsv or parquet; - reads standard input.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The run folder of a search.")]
Debug = Annotated[bool, typer.Option("--debug", help=DEBUG_HELP)]
Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show nothing but errors and the result.")]


@app.command()
def search(
    data: Data,
    *,
    target: Annotated[
        str | None,
        typer.Option(help="Column to predict [default: target, class, label or y, else the last]."),
    ] = None,
    task: Annotated[TaskChoice, typer.Option(help="What the target is.")] = TaskChoice.auto,
    metric: Annotated[
        str | None,
        typer.Option(
            help="auc, log_loss, accuracy, balanced_accuracy, f1, brier, rmse, mae, r2, mape, rmsle, "
            "or a scikit-learn scorer [default: auc, log_loss or rmse]."
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option("--time", help="Wall time for everything, as 90s, 5m or 2h [default: 5m]."),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help="Number of configs to try; without --time the run is reproducible."),
    ] = None,
    space: Annotated[str, typer.Option(help="A shipped search space or a TOML file.")] = "tabular",
    out: Annotated[Path | None, typer.Option(help="Run folder [default: runs/NAME-TIMESTAMP].")] = None,
    seed: Annotated[int, typer.Option(help="The one source of randomness.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Fits at the same time [default: the cores granted].")] = None,
    memory: Annotated[
        str | None, typer.Option(help="For all processes, as 4G [default: most of what is free].")
    ] = None,
    policy: Annotated[PolicyChoice, typer.Option(help="Who decides what to try next.")] = PolicyChoice.portfolio,
    test: Annotated[str | None, typer.Option(help="A labelled file to score the final model on.")] = None,
    group: Annotated[str | None, typer.Option(help="Column whose equal values stay on one side of each split.")] = None,
    time_column: Annotated[
        str | None, typer.Option(help="Column by which training rows lie before validation rows.")
    ] = None,
    embargo: Annotated[int, typer.Option(help="Rows left out between training and validation in time.")] = 0,
    weight: Annotated[str | None, typer.Option(help="Column of sample weights.")] = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Search for the best ensemble on a table."""
    with _errors(debug=debug):
        from autometa.search.settings import parse_duration

        limit = None if time_limit is None else parse_duration(time_limit)
        _load_search()
        from autometa.search.api import search as run_search
        from autometa.search.display import make_watcher

        result = run_search(
            data,
            target=target,
            task=task.value,
            metric=metric,
            time_limit=limit,
            trials=trials,
            space=space,
            out=out,
            seed=seed,
            workers=workers,
            memory=memory,
            policy=policy.value,
            test=test,
            group=group,
            time_column=time_column,
            embargo=embargo,
            weight=weight,
            watcher=make_watcher(quiet=quiet, json=json, stream=sys.stderr),
            started=_process_start(),
        )
        _show_result(result, json=json)


@app.command()
def resume(run: RunPath, *, json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Go on with a run that was stopped or killed."""
    with _errors(debug=debug):
        _load_search()
        from autometa.search.api import resume as go_on
        from autometa.search.display import make_watcher

        watcher = make_watcher(quiet=quiet, json=json, stream=sys.stderr)
        _show_result(go_on(run, watcher=watcher, started=_process_start()), json=json)


@app.command()
def predict(
    run: RunPath,
    data: Data,
    *,
    out: Annotated[Path | None, typer.Option(help="Where to write [default: stdout].")] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Add a column per class.")] = False,
    debug: Debug = False,
) -> None:
    """Predict every row of a table, in order."""
    with _errors(debug=debug):
        from autometa.search.prediction import predict_file

        predict_file(run, data, out=out, proba=proba, warn=lambda f: _say(f"warning: {f.message}"))


@app.command()
def suggest(
    data: Data,
    *,
    k: Annotated[int, typer.Option("-k", min=1, help="How many configs.")] = 10,
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
    task: Annotated[TaskChoice, typer.Option(help="What the target is.")] = TaskChoice.auto,
    space: Annotated[str, typer.Option(help="A shipped search space or a TOML file.")] = "tabular",
    seed: Annotated[int, typer.Option(help="The one source of randomness.")] = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what would be tried first on a table, and why; nothing is trained."""
    with _errors(debug=debug):
        from autometa.search.suggestions import suggest as suggestions_for

        found = suggestions_for(data, k=k, target=target, task=task.value, space=space, seed=seed)
        if json:
            typer.echo(jsonlib.dumps(found, indent=1))
            return
        for number, item in enumerate(found, start=1):
            typer.echo(f"{number:2}. {item['source']}")
            for name, value in item["config"].items():
                typer.echo(f"      {name} = {value}")


@app.command()
def record(
    data: Annotated[list[Path], typer.Argument(help="Tables: csv, csv.gz, tsv or parquet.")],
    *,
    into: Annotated[Path, typer.Option(help="Folder of the collection; one that was stopped is gone on with.")],
    configs: Annotated[int, typer.Option(help="Configs on each table.")] = 200,
    shared: Annotated[int, typer.Option(help="Of these, the same on every table.")] = 160,
    rows: Annotated[int, typer.Option(help="The most training rows of a fold.")] = 3_000,
    time_limit: Annotated[str, typer.Option(help="Limit of a fit, as 20s.")] = "20s",
    space: Annotated[str, typer.Option(help="A shipped search space or a TOML file.")] = "tabular",
    index: Annotated[
        Path | None, typer.Option(help="A CSV that says each table's name, task, family, split, origin and licence.")
    ] = None,
    predictions: Annotated[Path | None, typer.Option(help="Folder that keeps all predictions.")] = None,
    seed: Annotated[int, typer.Option(help="The one source of randomness.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Fits at the same time [default: the cores granted].")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Evaluate many configs on tables and record them: prior tasks to learn from."""
    with _errors(debug=debug):
        from autometa.records.recorder import Settings
        from autometa.search.recording import record as record_tables
        from autometa.search.resources import granted_cores, granted_memory
        from autometa.search.settings import parse_duration

        settings = Settings(
            configs=configs,
            shared=min(shared, configs),
            rows=rows,
            seconds=parse_duration(time_limit),
            seed=seed,
            workers=workers or granted_cores(),
            memory=granted_memory(),
            predictions=predictions,
        )
        recorded = record_tables(
            data, into, index=index, space=space, settings=settings, say=(lambda _: None) if quiet else _say
        )
        typer.echo(f"{recorded} evaluations in {into}")


class XChoice(StrEnum):
    """What regret is shown against."""

    trials = "trials"
    seconds = "seconds"


@app.command()
def replay(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Recorded tasks: a collection or a public table.")],
    *,
    sources: Annotated[
        list[Path] | None, typer.Option(help="Recorded tasks to learn from, instead of folds. May be repeated.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Folds by dataset: what is learned on the others is tried on one.")] = 10,
    policies: Annotated[str, typer.Option(help="Names, with commas; `all` for every one.")] = (
        "random,tpe,portfolio,portfolio_tpe,empirical_covariance,source_copies,source_mixture"
    ),
    trials: Annotated[int, typer.Option(help="Trials of each replay.")] = 50,
    seeds: Annotated[int, typer.Option(help="Replays of each policy on each task.")] = 3,
    x: Annotated[XChoice, typer.Option(help="Show regret by trials or by recorded seconds.")] = XChoice.trials,
    stress: Annotated[bool, typer.Option("--stress", help="Also try sources that mislead.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for regret.csv, a plot and the like.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes [default: the cores granted].")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Replay policies on recorded tasks: what each would have found, and how fast."""
    with _errors(debug=debug):
        from autometa.policies.named import POLICIES
        from autometa.records.replays import Settings
        from autometa.search.replaying import replay as replay_policies
        from autometa.search.replaying import summary, write
        from autometa.search.resources import granted_cores

        names = list(POLICIES) if policies == "all" else [p.strip() for p in policies.split(",") if p.strip()]
        outcomes = replay_policies(
            folder,
            sources=sources or (),
            folds=folds,
            policies=names,
            settings=Settings(trials=trials, seeds=seeds, x=x.value, workers=workers or granted_cores()),
            stress=stress,
            say=(lambda _: None) if quiet else _say,
        )
        for outcome in outcomes:
            for curves in filter(None, (outcome.curves, outcome.sample)):
                typer.echo(f"{outcome.name}, {len(curves.tasks)} tasks, mean regret at {x.value} and area under it")
                typer.echo(summary(curves).to_string(index=False, float_format="{:.4f}".format) + "\n")
            if outcome.stress is not None:
                typer.echo(outcome.stress.to_string(index=False, float_format="{:.4f}".format) + "\n")
            if out is not None:
                for path in write(outcome, out if outcome.alone else out / outcome.name, x=x.value):
                    _say(str(path))


@app.command()
def report(run: RunPath, *, debug: Debug = False) -> None:
    """Write report.html anew from the files of a run."""
    with _errors(debug=debug):
        from autometa.search.report import write_report
        from autometa.search.run_folder import RunFolder

        typer.echo(str(write_report(RunFolder.open(run))))


@app.command()
def spaces(
    name: Annotated[str | None, typer.Argument(help="A shipped space or a TOML file.")] = None,
    *,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the search spaces, or show one."""
    with _errors(debug=debug):
        from autometa.space import Space, shipped_spaces

        if name is None:
            names = shipped_spaces()
            typer.echo(jsonlib.dumps(names) if json else "\n".join(names))
            return
        space = Space.load(name)
        rows = [_parameter_row(p) for p in space]
        if json:
            typer.echo(jsonlib.dumps({"name": space.name, "version": space.version, "parameters": rows}))
            return
        typer.echo(f"{space.name} {space.version}, {len(space)} hyperparameters")
        for row in rows:
            when = f"   if {row['when'][0]} is {', '.join(map(str, row['when'][1]))}" if row["when"] else ""
            typer.echo(f"  {row['name']:36} {row['values']}  [default {row['default']}]{when}")


@app.command()
def doctor(*, json: Json = False, debug: Debug = False) -> None:
    """Say what is installed, and what cores, memory and GPUs are granted."""
    with _errors(debug=debug):
        from autometa.search.doctor import diagnose, render

        checks = diagnose()
        typer.echo(jsonlib.dumps([vars(c) for c in checks], indent=1) if json else render(checks))


def _version(wanted: bool) -> None:  # noqa: FBT001 (typer's callback signature)
    if wanted:
        from autometa import __version__

        typer.echo(f"autometa {__version__}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A table in; a fitted ensemble, a leaderboard and a report out, within the promised time."""


@contextlib.contextmanager
def _errors(*, debug: bool) -> Iterator[None]:
    """Messages instead of tracebacks, and an exit code that tells programs what happened."""
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt as stop:
        _say(str(stop) or "stopped")
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise typer.Exit(1) from None
    except AutometaError as error:
        if debug:
            traceback.print_exc()
        _say(f"error: {error}")
        raise typer.Exit(2) from None
    except Exception as error:  # noqa: BLE001 (whatever it is, people get one line)
        if debug:
            traceback.print_exc()
        _say(f"unexpected error: {type(error).__name__}: {error}\n(--debug shows where)")
        raise typer.Exit(1) from None


def _load_search() -> None:
    """Load what a search needs here, and start the process that loads the learners meanwhile."""
    from autometa.workers.fork_server import interrupts_held, warm_up

    with interrupts_held():
        warm_up()
        import_module("autometa.search.starting")


def _say(message: str) -> None:
    typer.echo(message, err=True)


def _process_start() -> float:
    """When this process was started, start-up of Python included."""
    try:
        import psutil

        return float(psutil.Process().create_time())
    except (ImportError, OSError):
        return STARTED


def _show_result(result: Any, *, json: bool) -> None:
    metrics, path = result.metrics, result.path
    if json:
        typer.echo(jsonlib.dumps({"run": str(path), **metrics}))
        return
    for rows in ("validation", "test"):
        if f"{rows}_score" in metrics:
            score = metrics[f"{rows}_score"]
            typer.echo(f"{metrics['metric']} {'undefined' if score is None else f'{score:.5g}'} ({rows})")
    typer.echo(f"{metrics['trials']} trials, {metrics['failed_trials']} failed, {metrics['seconds']:.0f} s")
    typer.echo(f"report   {path / 'report.html'}")
    typer.echo(f"predict  autometa predict {path} NEW.csv")


def _parameter_row(p: Any) -> dict[str, Any]:
    if hasattr(p, "choices"):
        values = ", ".join(map(str, p.choices))
    else:
        values = f"{p.low} .. {p.high}{' log' if p.log else ''}"
    return {"name": p.name, "values": values, "default": p.default, "when": p.when}
