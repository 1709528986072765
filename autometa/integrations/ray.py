"""ray_searcher: autometa's policy as a search algorithm of Ray Tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from autometa.integrations.datasets import features_of
from autometa.integrations.ray_search import Settings, one_metric, searcher_type
from autometa.integrations.seeds import chosen_seed
from autometa.integrations.shapes import AnySpace, shape_of
from autometa.integrations.sources import tasks_of

if TYPE_CHECKING:
    import pandas as pd
    from ray.tune.search import Searcher

    from autometa.integrations.sources import Source


def ray_searcher(
    space: AnySpace | None = None,
    metric: str | None = None,
    mode: Literal["min", "max"] | None = None,
    *,
    data: str | Path | pd.DataFrame | None = None,
    sources: Sequence[Source] | None = None,
    checkpoint: str | Path | None = None,
    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
    seed: int | None = None,
) -> Searcher:
    """A search algorithm for Ray Tune that learns from past studies and tasks as well as from the sweep.

    Trials under way count as such. A result that is missing or not a finite number is a failure. A trial that a
    scheduler stops early counts with what it reached. Configs are proposed ahead of demand; see
    :class:`autometa.integrations.sweep.Sweep`. What is saved is data, and goes on exactly where it was.

    Args:
        space: an autometa Space, the name of a shipped one, the path of a TOML file, a dict of Optuna distributions
            or a search space of Ray Tune; None for the ``param_space`` of the Tuner.
        metric: what trials report; None for that of the TuneConfig, which Ray hands on only with a ``param_space``.
        mode: "min" or "max"; None for that of the TuneConfig.
        data: the dataset that the sweep is about, a data frame or the path of a table; see :class:`MetaSampler`.
        sources: past studies and tasks to learn from. None and () switch the transfer off.
        checkpoint: the file of a policy that was meta-trained; None for the shipped one.
        points_to_evaluate: configs to try first, in the shape of the space; where one gives only a part of the active
            parameters, the policy adds the others.
        seed: of all that is random; None to draw one.

    Raises:
        InputError: the mode, the seed, the data or a source cannot be used.
        SpaceError: there is no such space, it cannot be searched, or a point does not fit it.
        MissingExtraError: Ray Tune is not installed.
    """
    kind = searcher_type()
    one_metric(metric, mode)
    settings = Settings(
        None if space is None else shape_of(space),
        {} if data is None else features_of(data),
        tasks_of(sources or ()),
        None if checkpoint is None else Path(checkpoint).absolute(),
        tuple(points_to_evaluate or ()),
        chosen_seed(seed),
    )
    return kind(settings, metric, mode)
