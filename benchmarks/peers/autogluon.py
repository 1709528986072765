"""AutoGluon's TabularPredictor for the time limit, with one of its presets."""

import pandas as pd
from autogluon.tabular import TabularPredictor

from benchmarks.peers.contract import TARGET, Job, Predict, Predictions, run

METRICS = {"auc": "roc_auc", "log_loss": "log_loss", "rmse": "root_mean_squared_error"}


def fit(job: Job, *, preset: str) -> Predict:
    """Fit with a preset ("medium_quality", "best_quality")."""
    predictor = TabularPredictor(
        label=TARGET,
        problem_type=job.task,
        eval_metric=METRICS[job.metric],
        path=str(job.folder / "model"),
        verbosity=1,
    )
    table = job.train.assign(**{TARGET: job.target})
    predictor.fit(table, presets=preset, time_limit=job.time_limit, num_cpus=job.workers, num_gpus=0)

    def predict(frame: pd.DataFrame) -> Predictions:
        if not job.classification:
            return Predictions(predictor.predict(frame).to_numpy(), None)
        shares = predictor.predict_proba(frame)
        return Predictions(shares.to_numpy(), [str(name) for name in shares.columns])

    return predict


def main(preset: str) -> None:
    """Run the peer with a preset."""
    run(lambda job: fit(job, preset=preset))
