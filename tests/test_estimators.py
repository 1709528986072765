"""The estimators are scikit-learn's own: its conformance suite, in a light in-process setting."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import classification, regression

from autometa import AutoMetaClassifier, AutoMetaRegressor

QUICK = str(Path(__file__).parent / "quick.toml")
LIGHT = {"trials": 1, "workers": 0, "memory": "8G", "space": QUICK}
# A weight of 2 is not a row written twice once rows are dealt to folds, and rows in another order are
# dealt to other folds.
EXEMPT = {
    "check_sample_weight_equivalence_on_dense_data": "rows are dealt to folds, weights are not",
}


@parametrize_with_checks(
    [AutoMetaClassifier(**LIGHT), AutoMetaRegressor(**LIGHT)],
    expected_failed_checks=lambda _: EXEMPT,
)
def test_scikit_learn_conformance(estimator, check):
    check(estimator)


def test_a_frame_with_categories_is_welcome():
    frame = classification()
    model = AutoMetaClassifier(**LIGHT | {"trials": 2})
    scores = cross_val_score(model, frame.drop(columns="label"), frame.label, cv=2)
    assert scores.mean() > 0.7
    model.fit(frame.drop(columns="label"), frame.label)
    assert list(model.classes_) == ["class0", "class1"]
    assert model.predict_proba(frame.head(3)[["a", "b", "c", "colour"]]).shape == (3, 2)


def test_the_run_folder_can_be_kept(tmp_path):
    frame = regression()
    model = AutoMetaRegressor(**LIGHT | {"out": str(tmp_path / "run")})
    model.fit(frame.drop(columns="y"), frame.y, sample_weight=np.ones(len(frame)))
    assert (tmp_path / "run" / "report.html").exists()
    assert isinstance(model.leaderboard_, pd.DataFrame)
    assert model.score(frame.drop(columns="y"), frame.y) > 0.8
