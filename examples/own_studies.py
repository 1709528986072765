"""Nine studies of one kind: what the first eight teach the ninth.

A made-up training job has five hyperparameters; its best values, its losses' scale and their shift differ from job to
job. Eight studies are finished by Optuna's TPE with 50 trials each. The ninth is begun cold by TPE, and by MetaSampler
with the eight as sources: how many trials does it take to be as good as TPE after 50?

python examples/own_studies.py --seeds 10
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna

import autometa

SPACE = autometa.Space.from_optuna(
    {
        "learning_rate": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True),
        "depth": optuna.distributions.IntDistribution(1, 12),
        "width": optuna.distributions.IntDistribution(8, 512, log=True),
        "optimizer": optuna.distributions.CategoricalDistribution(["adam", "sgd", "lion"]),
        "dropout": optuna.distributions.FloatDistribution(0.0, 0.6),
    },
    name="job",
)
PAST, LONG = 8, 50


@dataclass(frozen=True)
class Job:
    """An objective of the family: a bowl about a place of its own, on a scale of its own."""

    number: int

    def __call__(self, trial: optuna.trial.BaseTrial) -> float:
        """The loss of a config."""
        rng = np.random.default_rng([7, self.number])
        rate, depth, width, dropout = np.array([-2.5, 6.0, 4.5, 0.2]) + np.array([0.4, 1.0, 0.4, 0.05]) * rng.normal(
            size=4
        )
        shift, scale, sgd = 3.0 * rng.normal(), np.exp(rng.normal()), 0.15 + 0.1 * rng.normal()
        x = SPACE.suggest(trial)
        bowl = 0.5 * (np.log10(float(x["learning_rate"])) - rate) ** 2 + 0.03 * (float(x["depth"]) - depth) ** 2
        bowl += 0.2 * (np.log(float(x["width"])) - width) ** 2 + 3.0 * (float(x["dropout"]) - dropout) ** 2
        return float(shift + scale * (bowl + {"adam": 0.0, "sgd": sgd, "lion": 0.3}[str(x["optimizer"])]))


def finished(job: Job, sampler: optuna.samplers.BaseSampler, trials: int) -> optuna.Study:
    """A study of a job."""
    study = optuna.create_study(study_name=f"job {job.number}", sampler=sampler)
    study.optimize(job, n_trials=trials)
    return study


def trials_to(goal: float, study: optuna.Study) -> int | None:
    """Trials until a loss is as low as a goal; None if none is."""
    return next((i + 1 for i, t in enumerate(study.trials) if t.value is not None and t.value <= goal), None)


def compare(seeds: int, *, longest: int = 25, say: Callable[[str], None] = print) -> list[int | None]:
    """Trials that the ninth study takes, with a ninth job for each seed."""
    past = [finished(Job(n), optuna.samplers.TPESampler(seed=n), LONG) for n in range(PAST)]
    took: list[int | None] = []
    for seed in range(seeds):
        job = Job(100 + seed)
        cold = finished(job, optuna.samplers.TPESampler(seed=seed), LONG)
        warm = finished(job, autometa.MetaSampler(SPACE, sources=past, seed=seed), longest)
        took.append(trials_to(cold.best_value, warm))
        say(f"job {job.number}: TPE, {LONG} trials: {cold.best_value:.4f}; MetaSampler as good after {took[-1]} trials")
    return took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = compare(given.seeds)
    print(f"median: {np.median([np.inf if n is None else n for n in found]):.0f} trials")
