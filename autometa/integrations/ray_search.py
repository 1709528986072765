"""What a Searcher of Ray Tune does, on a sweep that a policy of ours decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autometa.errors import InputError, MissingExtraError, SpaceError
from autometa.integrations.ray_results import ANONYMOUS, config_in, number_in, step_of
from autometa.integrations.ray_spaces import RaySpace
from autometa.integrations.ray_state import hold_to, read_state, write_state
from autometa.integrations.shapes import Shape
from autometa.integrations.sources import policy_for
from autometa.integrations.sweep import Run, State, Sweep
from autometa.space import Config
from autometa.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ray.tune.search import Searcher


@dataclass(frozen=True)
class Settings:
    """What a searcher is made of.

    Attributes:
        shape: of the space; None while only the Tuner knows it.
        features: of the dataset.
        sources: to learn from.
        checkpoint: of the policy; None for the shipped one.
        points: to try first, as the user has them.
        seed: of all that is random.
    """

    shape: Shape | None
    features: Mapping[str, float | str] = field(default_factory=dict)
    sources: tuple[Task, ...] = ()
    checkpoint: Path | None = None
    points: tuple[Mapping[str, Any], ...] = ()
    seed: int = 0

    def sweep(self, shape: Shape, points: Sequence[Config]) -> Sweep:
        """A sweep that has not begun."""
        policy = policy_for(self.sources, self.checkpoint)
        return Sweep(shape, policy, features=self.features, seed=self.seed, points=points)


class MetaSearch:
    """The methods of a Searcher; Ray's own class is put below where Ray is there, see :func:`searcher_type`.

    Args:
        settings: what it is made of.
        metric: what trials report; None until it is known.
        mode: "min" or "max"; None until it is known.
    """

    CKPT_FILE_TMPL = "searcher-state-{}.json"

    def __init__(self, settings: Settings, metric: str | None, mode: str | None) -> None:
        super().__init__(metric, mode)  # type: ignore[call-arg]
        self._settings, self._metric, self._mode = settings, metric, mode
        self._sweep: Sweep | None = None
        if (shape := settings.shape) is not None:
            self._sweep = settings.sweep(shape, [shape.values(point) for point in settings.points])

    def __reduce__(self) -> tuple[Callable[..., Searcher], tuple[Any, ...]]:
        # Ray pickles a searcher with its Tuner: what it is made of, and the rest as data.
        state = None if self._sweep is None else self.get_state()
        return _made_again, (self._settings, self._metric, self._mode, state)

    def set_search_properties(self, metric: Any, mode: Any, config: dict[str, Any], **_: Any) -> bool:
        """Take from the Tuner what was not said before; False where that is another search space."""
        self._metric, self._mode = self._metric or metric, self._mode or mode
        one_metric(self._metric, self._mode)
        known = self._settings.shape
        if known is not None:
            return not RaySpace.is_one(config) or RaySpace.of(config).searched.as_data() == known.as_data()
        found = RaySpace.of(config)
        # The Tuner adds its constants itself; a point may have them.
        self._sweep = self._settings.sweep(found.searched, [found.values(point) for point in self._settings.points])
        self._settings = replace(self._settings, shape=found.searched, points=())
        return True

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """The config of a new trial."""
        sweep = self._measured()
        return sweep.shape.suggestion(sweep.ask(trial_id))

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Take in what a trial has reached."""
        if self._knows(trial_id, result) and (step := step_of(result)) is not None:
            self._begun().report(trial_id, step, self._loss(result))

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:  # noqa: FBT001, FBT002 (Ray's own)
        """Take in how a trial ended."""
        if not self._knows(trial_id, result):
            return
        sweep, loss = self._begun(), self._loss(result or {})
        if error:
            sweep.end(trial_id, "failed")
            return
        step, told = step_of(result or {}), next(reversed(sweep.runs[trial_id].reports), None)
        # The last result of a trial comes as one like the others first, unless someone stops it for that result.
        stopped = not result or (step is not None and step != told)
        if step is not None:
            sweep.report(trial_id, step, loss)
        sweep.end(trial_id, "stopped" if stopped else "complete", loss)

    def add_evaluated_point(
        self,
        parameters: Mapping[str, Any],
        value: float,
        error: bool = False,  # noqa: FBT001, FBT002 (Ray's own)
        pruned: bool = False,  # noqa: FBT001, FBT002 (Ray's own)
        intermediate_values: Sequence[float] | None = None,
    ) -> None:
        """Take in a trial from elsewhere."""
        sweep = self._measured()
        reports = {step: self._loss({self._name: v}) for step, v in enumerate(intermediate_values or [], 1)}
        loss = self._loss({self._name: value})
        if pruned and not reports:
            reports = {1: loss}
        state: State = "failed" if error else "stopped" if pruned else "complete"
        sweep.add(f"evaluated {len(sweep.runs)}", Run(_config(sweep, parameters), state, loss, reports))

    # As data

    def get_state(self) -> dict[str, Any]:
        """All that it takes to go on, as plain values of JSON."""
        return {**self._known(), "sweep": self._begun().state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Become what another searcher was.

        Raises:
            InputError: that one had another space, metric or mode, or other sources.
        """
        if self._sweep is None:
            shape = RaySpace.from_data(state["space"])
            self._settings = replace(self._settings, shape=shape, points=())
            self._sweep = self._settings.sweep(shape, ())
        hold_to(state, self._known())
        self._metric, self._mode = state["metric"], state["mode"]
        self._sweep.go_on(state["sweep"])

    def save(self, checkpoint_path: str) -> None:
        """Write the state into a file, whole or not at all."""
        write_state(Path(checkpoint_path), self.get_state())

    def restore(self, checkpoint_path: str) -> None:
        """Become what :meth:`save` wrote.

        Raises:
            RunError: the file cannot be read, or is of another kind.
            InputError: the searcher that was saved is not like this one.
        """
        self.set_state(read_state(Path(checkpoint_path)))

    def _known(self) -> dict[str, Any]:
        """What a search stays with from its beginning on."""
        sources = [task.name for task in self._settings.sources]
        return {
            "space": self._begun().shape.as_data(),
            "sources": sources,
            "metric": self._metric,
            "mode": self._mode,
        }

    # Reading

    @property
    def _name(self) -> str:
        return self._metric or ANONYMOUS

    def _begun(self) -> Sweep:
        if self._sweep is None:
            raise InputError(
                "a sweep needs a search space; got none: write ray_searcher(space, ...) or Tuner(param_space=...)"
            )
        return self._sweep

    def _measured(self) -> Sweep:
        if self._mode is None:
            raise InputError(
                f"a sweep needs a metric and a mode; got metric={self._metric!r}, mode=None. Ray hands those of the "
                'TuneConfig on only with a param_space: write ray_searcher(space, metric="loss", mode="min")'
            )
        return self._begun()

    def _loss(self, result: Mapping[str, Any]) -> float:
        """What a result says, the lower the better; NaN where it says nothing."""
        value = number_in(result, self._name)
        return -value if self._mode == "max" else value

    def _knows(self, trial_id: str, result: Mapping[str, Any] | None) -> bool:
        """Whether a trial is one of ours, or can become one: a Tuner may start a failed config under a new name."""
        sweep = self._begun()
        if trial_id not in sweep.runs:
            try:
                sweep.add(trial_id, Run(_config(sweep, config_in(result or {}))))
            except SpaceError:
                return False
        return True


@cache
def searcher_type() -> Callable[[Settings, str | None, str | None], Searcher]:
    """The class of searchers, with Ray's own as a base.

    Raises:
        MissingExtraError: Ray Tune is not installed.
    """
    try:
        from ray.tune.search import Searcher
    except ImportError as error:
        raise MissingExtraError(
            "Ray Tune is optional and is not installed; install it: pip install 'autometa[ray]'"
        ) from error
    return type("MetaSearcher", (MetaSearch, Searcher), {"__module__": __name__, "__doc__": MetaSearch.__doc__})


def one_metric(metric: Any, mode: Any) -> None:
    """Hold what a sweep is about to what we can do.

    Raises:
        InputError: it is not one metric to be small or large.
    """
    if metric is not None and not isinstance(metric, str):
        raise InputError(f"a sweep has one metric; got metric={metric!r}: name the one that matters")
    if mode not in (None, "min", "max"):
        raise InputError(f'the mode is "min" or "max"; got mode={mode!r}: take one of them')


def _made_again(settings: Settings, metric: str | None, mode: str | None, state: Any) -> Searcher:
    made = searcher_type()(settings, metric, mode)
    if state is not None:
        made.set_state(state)
    return made


def _config(sweep: Sweep, params: Mapping[str, Any]) -> Config:
    """The config that parameters from elsewhere, constants among them, make.

    Raises:
        SpaceError: some are outside the space, or missing.
    """
    values = sweep.shape.values(sweep.shape.part(params))
    config = sweep.shape.space.complete(values)
    missing = [name for name in config if name not in values]
    if missing:
        raise SpaceError(f"a trial needs all active parameters; {missing[0]!r} is not among {list(params)}: add it")
    return sweep.shape.rounded(config)
