"""CatBoost with its defaults, told which columns are categories."""

import pandas as pd
from catboost import CatBoostClassifier, CatBoostRegressor

from benchmarks.peers.contract import Job, Predict, Predictions, run


def fit(job: Job) -> Predict:
    """Fit the default model on all training rows."""

    def prepared(frame: pd.DataFrame) -> pd.DataFrame:
        # CatBoost takes no missing value in a categorical column.
        words = {
            name: frame[name].astype(object).where(frame[name].notna(), "missing").astype(str)
            for name in job.categories
        }
        return frame.assign(**{name: column.astype(object) for name, column in words.items()})

    kind = CatBoostClassifier if job.classification else CatBoostRegressor
    model = kind(thread_count=job.workers, random_seed=job.seed, verbose=False, allow_writing_files=False)
    model.fit(prepared(job.train), job.target.to_numpy(), cat_features=job.categories)

    def predict(frame: pd.DataFrame) -> Predictions:
        if not job.classification:
            return Predictions(model.predict(prepared(frame)), None)
        return Predictions(model.predict_proba(prepared(frame)), [str(name) for name in model.classes_])

    return predict


if __name__ == "__main__":
    run(fit)
