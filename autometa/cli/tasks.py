"""The commands about recorded tasks: recording, learning from one's own, meta-training, and replaying policies."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from autometa.cli.shared import Debug, Quiet, app, errors, say


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
    workers: Annotated[int | None, typer.Option(help="Fits at the same time (default: the cores granted).")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Evaluate many configs on tables and record them: prior tasks to learn from."""
    with errors(debug=debug):
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
            data, into, index=index, space=space, settings=settings, say=(lambda _: None) if quiet else say
        )
        typer.echo(f"{recorded} evaluations in {into}")


@app.command()
def learn(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|STUDY_URL",
            help="Run folders of finished searches, and Optuna storages: a URL or a journal file, #NAME for one study.",
        ),
    ],
    *,
    into: Annotated[
        Path | None, typer.Option(help="Folder of collections, one for each space (default: your own tasks).")
    ] = None,
    debug: Debug = False,
) -> None:
    """Take your own finished runs and Optuna studies as prior tasks; learned again, they are replaced."""
    with errors(debug=debug):
        from autometa.search.learning import learn as learn_from

        for folder, tasks in learn_from(sources, into, say=say).items():
            typer.echo(f"{tasks} {'task' if tasks == 1 else 'tasks'} in {folder}")


class PartChoice(StrEnum):
    """What is meta-trained."""

    policy = "policy"
    hypernetwork = "hypernetwork"


class AlgorithmChoice(StrEnum):
    """How it is meta-trained."""

    reptile = "reptile"
    maml = "maml"
    fomaml = "fomaml"
    anil = "anil"
    meta_sgd = "meta-sgd"
    joint = "joint"


@app.command(name="meta-train")
def meta_train(
    *,
    part: Annotated[PartChoice, typer.Option(help="What is trained.")] = PartChoice.policy,
    algorithm: Annotated[AlgorithmChoice, typer.Option(help="How; see docs/adaptation.md.")] = AlgorithmChoice.joint,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Recorded tasks: a collection, a public table, or a folder of such. May be repeated."),
    ] = None,
    exclude: Annotated[
        list[Path] | None, typer.Option(help="File of datasets to leave out, a name in each line. May be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of the outer loop.")] = 4_000,
    time: Annotated[
        str | None, typer.Option(help="Limit of the training, as 20m; what is best by then counts.")
    ] = None,
    synthetic: Annotated[float, typer.Option(help="Share of synthetic tasks, in [0, 1].")] = 0.25,
    seed: Annotated[int, typer.Option(help="The one source of randomness.")] = 0,
    out: Annotated[Path, typer.Option(help="The checkpoint; a training that was stopped goes on.")],
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Meta-train a policy on recorded tasks: what all later searches begin with."""
    with errors(debug=debug):
        from autometa.errors import InputError
        from autometa.metatrain.policy_training import VALIDATIONS, Recipe, read_exclusions, train_policy
        from autometa.metatrain.process_training import Settings
        from autometa.search.settings import parse_duration

        if part is not PartChoice.policy:
            raise InputError("the part that can be meta-trained is the policy; got hypernetwork, which is not built")
        every = max(1, steps // VALIDATIONS)
        process = train_policy(
            Recipe(
                data=tuple(data or ()),
                out=out,
                exclude=[name for file in exclude or () for name in read_exclusions(file)],
                synthetic=synthetic,
                time_limit=None if time is None else parse_duration(time),
                settings=Settings(algorithm=algorithm.value, steps=steps, validate_every=every, seed=seed),
            ),
            say=(lambda _: None) if quiet else say,
        )
        typer.echo(f"{out}: validation regret {process.card['validation']['regret']:.4f}")


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
    checkpoint: Annotated[
        Path | None, typer.Option(help="Of meta-train, for the learned policies (default: the shipped one).")
    ] = None,
    policies: Annotated[str, typer.Option(help="Names, with commas; `all` for every one.")] = (
        "random,tpe,portfolio,portfolio_tpe,empirical_covariance,source_copies,source_mixture"
    ),
    trials: Annotated[int, typer.Option(help="Trials of each replay.")] = 50,
    seeds: Annotated[int, typer.Option(help="Replays of each policy on each task.")] = 3,
    x: Annotated[XChoice, typer.Option(help="Show regret by trials or by recorded seconds.")] = XChoice.trials,
    stress: Annotated[bool, typer.Option("--stress", help="Also try sources that mislead.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for regret.csv, a plot and the like.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes (default: the cores granted).")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Replay policies on recorded tasks: what each would have found, and how fast."""
    with errors(debug=debug):
        from autometa.records.replays import Settings
        from autometa.search.replaying import every_policy, summary, write
        from autometa.search.replaying import replay as replay_policies
        from autometa.search.resources import granted_cores

        names = every_policy(checkpoint) if policies == "all" else [p.strip() for p in policies.split(",") if p.strip()]
        outcomes = replay_policies(
            folder,
            sources=sources or (),
            folds=folds,
            policies=names,
            settings=Settings(trials=trials, seeds=seeds, x=x.value, workers=workers or granted_cores()),
            checkpoint=checkpoint,
            stress=stress,
            say=(lambda _: None) if quiet else say,
        )
        for outcome in outcomes:
            for curves in filter(None, (outcome.curves, outcome.sample)):
                typer.echo(f"{outcome.name}, {len(curves.tasks)} tasks, mean regret at {x.value} and area under it")
                typer.echo(summary(curves).to_string(index=False, float_format="{:.4f}".format) + "\n")
            if outcome.stress is not None:
                typer.echo(outcome.stress.to_string(index=False, float_format="{:.4f}".format) + "\n")
            if out is not None:
                for path in write(outcome, out if outcome.alone else out / outcome.name, x=x.value):
                    say(str(path))
