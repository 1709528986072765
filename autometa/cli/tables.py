"""The commands about a table and its search. Each parses, calls one function and prints."""

from __future__ import annotations

import json as jsonlib
import sys
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from autometa.cli.shared import Data, Debug, Json, Quiet, RunPath, RunPlace, TaskChoice, app, errors, process_start, say


class PolicyChoice(StrEnum):
    """Who decides what to try next."""

    portfolio = "portfolio"
    learned = "learned"
    tpe = "tpe"
    gp = "gp"
    random = "random"


@app.command()
def search(
    data: Data,
    *,
    target: Annotated[
        str | None,
        typer.Option(help="Column to predict (default: target, class, label or y, else the last)."),
    ] = None,
    task: Annotated[TaskChoice, typer.Option(help="What the target is.")] = TaskChoice.auto,
    metric: Annotated[
        str | None,
        typer.Option(
            help="auc, log_loss, accuracy, balanced_accuracy, f1, brier, rmse, mae, r2, mape, rmsle, "
            "or a scikit-learn scorer (default: auc, log_loss or rmse)."
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option("--time", help="Wall time for everything, as 90s, 5m or 2h (default: 5m)."),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help="Number of configs to try; without --time the run is reproducible."),
    ] = None,
    space: Annotated[str, typer.Option(help="A shipped search space or a TOML file.")] = "tabular",
    out: Annotated[
        str | None,
        typer.Option(
            help="Run folder (default: runs/NAME-TIMESTAMP), or an address for a copy of it, as s3://bucket/run."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The one source of randomness.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Fits at the same time (default: the cores granted).")] = None,
    memory: Annotated[
        str | None, typer.Option(help="For all processes, as 4G (default: most of what is free).")
    ] = None,
    policy: Annotated[PolicyChoice, typer.Option(help="Who decides what to try next.")] = PolicyChoice.portfolio,
    test: Annotated[str | None, typer.Option(help="A labelled file to score the final model on.")] = None,
    group: Annotated[str | None, typer.Option(help="Column whose equal values stay on one side of each split.")] = None,
    time_column: Annotated[
        str | None, typer.Option(help="Column by which training rows lie before validation rows.")
    ] = None,
    embargo: Annotated[int, typer.Option(help="Rows left out between training and validation in time.")] = 0,
    weight: Annotated[str | None, typer.Option(help="Column of sample weights.")] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Run the fits on a Ray cluster; auto: the running one, else one started here."
        ),
    ] = None,
    gpus_per_trial: Annotated[float, typer.Option(help="GPUs of a node for each fit, such as 0.25.")] = 0.0,
    cpus_per_trial: Annotated[int, typer.Option(help="CPUs of a node for each fit.")] = 1,
    max_concurrent: Annotated[
        int | None, typer.Option(help="Fits on the cluster at a time (default: what it has room for).")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Database for the trials, as postgresql://host/name (default: the run folder)."
        ),
    ] = None,
    no_learn: Annotated[
        bool, typer.Option("--no-learn", help="Leave nothing for later searches to learn from.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Search for the best ensemble on a table."""
    with errors(debug=debug):
        from autometa.search.settings import parse_duration

        limit = None if time_limit is None else parse_duration(time_limit)
        _load_search(workers_here=ray is None)
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
            learn=not no_learn,
            ray=ray,
            gpus_per_trial=gpus_per_trial,
            cpus_per_trial=cpus_per_trial,
            max_concurrent=max_concurrent,
            storage=storage,
            watcher=make_watcher(quiet=quiet, json=json, stream=sys.stderr),
            started=process_start(),
        )
        _show_result(result, json=json)


@app.command()
def resume(run: RunPlace, *, json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Go on with a run that was stopped or killed."""
    with errors(debug=debug):
        _load_search()
        from autometa.search.api import resume as go_on
        from autometa.search.display import make_watcher

        watcher = make_watcher(quiet=quiet, json=json, stream=sys.stderr)
        _show_result(go_on(run, watcher=watcher, started=process_start()), json=json)


@app.command()
def predict(
    run: RunPlace,
    data: Data,
    *,
    out: Annotated[Path | None, typer.Option(help="Where to write (default: stdout).")] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Add a column per class.")] = False,
    debug: Debug = False,
) -> None:
    """Predict every row of a table, in order."""
    with errors(debug=debug):
        from autometa.search.prediction import predict_file

        predict_file(run, data, out=out, proba=proba, warn=lambda f: say(f"warning: {f.message}"))


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
    with errors(debug=debug):
        from autometa.search.suggestions import lines_of
        from autometa.search.suggestions import suggest as suggestions_for

        found = suggestions_for(
            data, k=k, target=target, task=task.value, space=space, seed=seed, say=lambda m: say(f"warning: {m}")
        )
        if json:
            typer.echo(jsonlib.dumps(found, indent=1))
            return
        for number, item in enumerate(found, start=1):
            typer.echo(f"{number:2}. {item['source']}")
            for line in lines_of(item):
                typer.echo(f"      {line}")


@app.command()
def report(run: RunPath, *, debug: Debug = False) -> None:
    """Write report.html anew from the files of a run."""
    with errors(debug=debug):
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
    with errors(debug=debug):
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
    with errors(debug=debug):
        from autometa.search.doctor import diagnose, render

        checks = diagnose()
        typer.echo(jsonlib.dumps([vars(c) for c in checks], indent=1) if json else render(checks))


def _load_search(*, workers_here: bool = True) -> None:
    """Load what a search needs here, and start the process that loads the learners meanwhile."""
    from autometa.workers.fork_server import interrupts_held, warm_up

    with interrupts_held():
        if workers_here:
            warm_up()
        import_module("autometa.search.starting")


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
