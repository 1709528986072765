"""A Ray Tune sweep of one's own, with the learned policy: which of two kinds of models, and with which settings.

Boosted trees and linear models on a small table, each with hyperparameters of its own, over growing numbers of
iterations. ASHA stops what falls behind; the policy knows the table's meta-features.

python examples/ray_sweep.py --trials 40 --workers 2
"""

import argparse
import tempfile
from typing import Any

import pandas as pd
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autometa

ROUNDS = 9
SPACE = {
    "model": tune.choice(
        [
            {
                "kind": "trees",
                "learning_rate": tune.loguniform(0.01, 1.0),
                "max_leaf_nodes": tune.lograndint(4, 129),
                "l2_regularization": tune.loguniform(1e-3, 10.0),
            },
            {"kind": "linear", "alpha": tune.loguniform(1e-6, 1.0), "l1_ratio": tune.uniform(0.0, 1.0)},
        ]
    ),
}


def model_of(config: dict[str, Any], iterations: int) -> Any:
    """An untrained model."""
    settings = {key: value for key, value in config["model"].items() if key != "kind"}
    if config["model"]["kind"] == "trees":
        return HistGradientBoostingClassifier(max_iter=iterations, early_stopping=False, random_state=0, **settings)
    linear = SGDClassifier(
        loss="log_loss", penalty="elasticnet", max_iter=iterations, tol=None, random_state=0, **settings
    )
    return make_pipeline(StandardScaler(), linear)


def train(config: dict[str, Any], table: pd.DataFrame) -> None:
    """Report the validation AUC after more and more iterations."""
    known, held = train_test_split(table, test_size=0.3, random_state=0, stratify=table["target"])
    for iterations in range(1, ROUNDS + 1):
        model = model_of(config, 3 * iterations).fit(known.drop(columns="target"), known["target"])
        shares = model.predict_proba(held.drop(columns="target"))[:, 1]
        tune.report({"auc": float(roc_auc_score(held["target"], shares))})


def sweep(trials: int, workers: int, folder: str) -> tune.ResultGrid:
    """The results of a sweep on a cluster of so many workers."""
    table = load_breast_cancer(as_frame=True).frame
    tuner = tune.Tuner(
        tune.with_parameters(train, table=table),
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric="auc",
            mode="max",
            search_alg=autometa.ray_searcher(data=table, seed=0),
            scheduler=ASHAScheduler(max_t=ROUNDS),
            num_samples=trials,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="sweep", storage_path=folder, verbose=0),
    )
    ray.init(num_cpus=workers, object_store_memory=100_000_000, include_dashboard=False, log_to_driver=False)
    try:
        return tuner.fit()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as kept:
        best = sweep(given.trials, given.workers, kept).get_best_result()
        assert best.metrics is not None
        print(f"auc {best.metrics['auc']:.4f} by {best.config}")
