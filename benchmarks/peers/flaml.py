"""FLAML's AutoML for the time limit, with its default list of learners."""

import pandas as pd
from flaml import AutoML

from benchmarks.peers.contract import Job, Predict, Predictions, run

METRICS = {"auc": "roc_auc", "log_loss": "log_loss", "rmse": "rmse"}


def fit(job: Job) -> Predict:
    """Search for the whole time limit."""
    model = AutoML()
    model.fit(
        X_train=job.train,
        y_train=job.target,
        task="classification" if job.classification else "regression",
        metric=METRICS[job.metric],
        time_budget=job.time_limit,
        n_jobs=job.workers,
        seed=job.seed,
        verbose=1,
    )

    def predict(frame: pd.DataFrame) -> Predictions:
        if not job.classification:
            return Predictions(model.predict(frame), None)
        return Predictions(model.predict_proba(frame), [str(name) for name in model.classes_])

    return predict


if __name__ == "__main__":
    run(fit)
