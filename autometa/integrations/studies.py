"""Studies as tasks: what each trial of Optuna's says to a policy."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autometa.errors import InputError
from autometa.integrations.conditions import distributions_seen, translation_of
from autometa.integrations.translation import SpaceLike, Translation
from autometa.task import Task, Trial

if TYPE_CHECKING:
    import optuna
    from numpy.typing import NDArray

# Stored with a running trial, so that other workers know its whole config before it has asked for all of it.
_PROPOSED = "autometa:proposed"
_LONGEST = 2045  # characters of an attribute in Optuna's relational storage
_AUGMENTATION = 0.05


def task_of(
    study: optuna.Study,
    *,
    space: SpaceLike | None = None,
    name: str | None = None,
    features: Mapping[str, float | str] | None = None,
) -> Task:
    """A study as a task, to look at or to learn from.

    Args:
        study: any study of one objective.
        space: an autometa Space, the name of a shipped one, the path of a TOML file or a dict of Optuna distributions;
            None for all parameters of the study's trials, with the conditions that the trials show.
        name: of the task; None for the study's own.
        features: what is known of the dataset.

    Returns:
        The task. Its losses are minimised: those of a study that maximises have the other sign. Trials with a value
        outside the space are left out, since a loss at the nearest value inside was never measured.

    Raises:
        InputError: the study has several objectives.
        SpaceError: there is no such space.
    """
    if len(study.directions) > 1:
        raise InputError(
            f"a study must have one objective to become a task; {study.study_name!r} has {len(study.directions)}: "
            "copy its trials into a study of the one that matters"
        )
    name = study.study_name if name is None else name
    trials = ordered(study.get_trials(deepcopy=False))
    if space is None:
        translation = translation_of(distributions_seen(trials), trials, name=name)
    else:
        translation = Translation.of(space, name=name)
    return Task(name, translation.space, history_of(translation, trials, study.directions), dict(features or {}))


def ordered(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Trials by their numbers."""
    return sorted(trials, key=lambda t: t.number)


def history_of(
    translation: Translation,
    trials: Sequence[FrozenTrial],
    directions: Sequence[StudyDirection],
    *,
    weights: NDArray[np.float64] | None = None,
) -> tuple[Trial, ...]:
    """What Optuna's trials say to a policy, in their order.

    Complete trials have budget 1. Pruned ones have the loss they reported last, at the share that this step is of the
    last one that any trial reported. A trial counts as failed where its loss is not a finite number, where it was
    pruned without a report, or where it breaks a constraint. Enqueued trials count as running where their config is
    whole. Left out are trials without any parameter, and those with a value outside the space.

    Args:
        translation: of the space.
        trials: in their order.
        directions: of the study's objectives.
        weights: of the objectives where there are several.
    """
    signs = np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in directions])
    losses = _losses(trials, signs, weights)
    steps = [step for t in trials for step in t.intermediate_values]
    shift = 1 if 0 in steps else 0
    last = max(steps, default=0) + shift
    history = []
    for trial, loss in zip(trials, losses, strict=True):
        params = known_params(trial)
        config = translation.config_of(params)
        if config is None or not params.keys() & config.keys():
            continue
        curve = tuple(float(signs[0] * v) for _, v in sorted(trial.intermediate_values.items()))
        if trial.state == TrialState.PRUNED and curve and _keeps_constraints(trial) and math.isfinite(curve[-1]):
            share = (max(trial.intermediate_values) + shift) / last
            history.append(Trial(config, "pruned", curve[-1], budget=share, curve=curve))
        elif trial.state.is_finished():
            history.append(Trial(config, "failed" if math.isnan(loss) else "complete", loss, curve=curve))
        elif trial.state == TrialState.RUNNING or config.keys() <= params.keys():
            history.append(Trial(config))
    return tuple(history)


def known_params(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial; while it is under way, also those that were proposed or enqueued for it."""
    if trial.state.is_finished():
        return trial.params
    pieces: list[str] = []
    while piece := trial.system_attrs.get(f"{_PROPOSED}:{len(pieces)}"):
        pieces.append(piece)
    proposed = json.loads("".join(pieces)) if pieces else {}
    return {**proposed, **trial.system_attrs.get("fixed_params", {}), **trial.params}


def remember_proposal(study: optuna.Study, trial: FrozenTrial, params: Mapping[str, Any]) -> None:
    """Store what was proposed for a running trial."""
    text = json.dumps(params, default=repr)
    for place, start in enumerate(range(0, len(text), _LONGEST)):
        # A sampler is given no other way to the storage, and Optuna's own store their proposals so.
        study._storage.set_trial_system_attr(  # noqa: SLF001
            trial._trial_id,  # noqa: SLF001
            f"{_PROPOSED}:{place}",
            text[start : start + _LONGEST],
        )


def _losses(
    trials: Sequence[FrozenTrial], signs: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> list[float]:
    """A number to minimise for each trial, NaN where there is none.

    Several objectives are made one by an augmented Chebyshev norm of their values, each scaled to [0, 1] over the
    trials (Knowles 2006, ParEGO).
    """
    values = np.full((len(trials), len(signs)), math.nan)
    for place, trial in enumerate(trials):
        if trial.state == TrialState.COMPLETE and _keeps_constraints(trial):
            values[place] = signs * trial.values
    values[~np.isfinite(values).all(axis=1)] = math.nan
    if weights is None or np.isnan(values).all():
        return [float(v) for v in values[:, 0]]
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    weighted = weights * (values - low) / np.where(high > low, high - low, 1.0)
    return [float(v) for v in weighted.max(axis=1) + _AUGMENTATION * weighted.sum(axis=1)]


def _keeps_constraints(trial: FrozenTrial) -> bool:
    return all(value <= 0.0 for value in trial.constraints.values())
