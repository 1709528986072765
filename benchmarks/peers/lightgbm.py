"""LightGBM with its defaults, on pandas categories."""

import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor

from benchmarks.peers.contract import Job, Predict, Predictions, run


def fit(job: Job) -> Predict:
    """Fit the default model on all training rows."""
    kind = LGBMClassifier if job.classification else LGBMRegressor
    model = kind(n_jobs=job.workers, random_state=job.seed, verbose=-1)
    model.fit(job.train, job.target.to_numpy())

    def predict(frame: pd.DataFrame) -> Predictions:
        if not job.classification:
            return Predictions(model.predict(frame), None)
        return Predictions(model.predict_proba(frame), [str(name) for name in model.classes_])

    return predict


if __name__ == "__main__":
    run(fit)
