"""From a policy's configs to the trials of a search."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, get_args

from autometa.errors import InputError
from autometa.parameters import Categorical
from autometa.policies.optuna_samplers import GPPolicy, TPEPolicy
from autometa.policies.portfolio import PortfolioPolicy, source_of
from autometa.policies.random import RandomPolicy
from autometa.search.past import learned_policy
from autometa.search.records import TrialRecord
from autometa.search.settings import PolicyName
from autometa.space import Space
from autometa.task import Costs, Policy, Task, Trial

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from autometa.search.forecast import Foretell


def check_policy(name: str) -> None:
    """Raise an InputError where there is no policy of that name."""
    names = get_args(PolicyName)
    if name not in names:
        raise InputError(f"the policy is one of {', '.join(names)}; got {name!r}")


def make_policy(name: PolicyName, *, kind: str, own: Collection[Task] = ()) -> Policy:
    """The policy of that name.

    Args:
        name: a valid one.
        kind: of the target.
        own: the user's past tasks, which only the learned policy learns from.
    """
    match name:
        case "portfolio":
            return PortfolioPolicy()
        case "learned":
            return learned_policy(own, kind=kind)
        case "tpe":
            return TPEPolicy()
        case "gp":
            return GPPolicy()
        case "random":
            return RandomPolicy()


def usable_space(source: str, *, kind: str) -> Space:
    """The space of a search: installed learners only, and no choices that mean nothing here.

    Raises:
        SpaceError: there is no such space.
        InputError: none of its learners can be used here.
    """
    space = Space.load(source)
    known = Space.load("tabular")
    for p in space:
        known[p.name]
    algorithm = space["algorithm"]
    assert isinstance(algorithm, Categorical)
    installed = [a for a in algorithm.choices if a != "xgboost" or find_spec("xgboost")]
    if not installed:
        raise InputError("the space asks for xgboost alone, which is not installed: pip install autometa[xgboost]")
    changes = {"algorithm": {"choices": installed}}
    if kind == "regression" and "class_weights" in space:
        changes["class_weights"] = {"choices": ["none"]}
    return space.restrict(changes)


@dataclass(frozen=True)
class Proposer:
    """Asks the policy for the next trial.

    Attributes:
        policy: who decides.
        name: its name, for the record.
        task: the space and the dataset's features, with an empty history.
        seed: of the run.
        first_folds: folds of the first repeat.
        foretell: seconds that a fit will take; None where time does not matter.
        seconds: of all fits together.
    """

    policy: Policy
    name: str
    task: Task
    seed: int
    first_folds: int
    foretell: Foretell | None = None
    seconds: float = math.inf

    def __call__(self, finished: Sequence[TrialRecord], unfinished: Sequence[TrialRecord]) -> TrialRecord:
        """The next trial, from what is finished and which configs are under way."""
        known = [r.as_trial() for r in finished] + [Trial(r.config) for r in unfinished]
        task = replace(self.task.observe(*known), costs=self._costs([*finished, *unfinished]))
        (config,) = self.policy.propose(task, n=1, seed=self.seed)
        source = source_of(task, config) if self.name == "portfolio" else self.name
        return TrialRecord(len(known), config, source, self.first_folds)

    def _costs(self, records: Sequence[TrialRecord]) -> Costs | None:
        foretell = self.foretell
        if foretell is None:
            return None
        return Costs(lambda config: self.first_folds * foretell(config, records), self.seconds)
