"""What hyperparameters are called, and the ranges and choices that go with the names.

Collected from the documentation of scikit-learn, XGBoost, LightGBM, CatBoost, ranger, glmnet, e1071 and PyTorch.
"""

from __future__ import annotations

from typing import NamedTuple

from autometa.parameters import Value


class Range(NamedTuple):
    """Where the ends of a range lie: each between two numbers, drawn on the range's own scale.

    Attributes:
        low: the lower end.
        high: the upper end.
        log: whether the scale is logarithmic.
        whole: whether the values are whole numbers.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    log: bool = False
    whole: bool = False


RATE = Range((1e-5, 1e-2), (0.05, 1.0), log=True)
PENALTY = Range((1e-8, 1e-3), (0.1, 1e3), log=True)
SHARE = Range((0.0, 0.5), (0.7, 1.0))
SIZE = Range((1, 64), (128, 2048), log=True, whole=True)
LEAST = Range((1, 4), (16, 256), log=True, whole=True)
DEPTH = Range((1, 4), (8, 20), whole=True)

RANGES: dict[str, Range] = {
    "learning_rate": RATE,
    "lr": RATE,
    "eta": RATE,
    "initial_learning_rate": RATE,
    "weight_decay": PENALTY,
    "alpha": PENALTY,
    "lambda": PENALTY,
    "reg_alpha": PENALTY,
    "reg_lambda": PENALTY,
    "l2_regularization": PENALTY,
    "penalty_factor": PENALTY,
    "tol": Range((1e-6, 1e-5), (1e-3, 1e-1), log=True),
    "C": Range((1e-4, 1e-2), (10.0, 1e4), log=True),
    "cost": Range((1e-4, 1e-2), (10.0, 1e4), log=True),
    "gamma": Range((1e-5, 1e-3), (1.0, 1e3), log=True),
    "epsilon": Range((1e-8, 1e-4), (1e-3, 1.0), log=True),
    "min_child_weight": Range((1e-3, 1.0), (10.0, 200.0), log=True),
    "max_depth": DEPTH,
    "depth": DEPTH,
    "num_layers": Range((1, 2), (3, 8), whole=True),
    "degree": Range((1, 2), (3, 6), whole=True),
    "num_leaves": SIZE,
    "batch_size": SIZE,
    "hidden_size": SIZE,
    "num_units": SIZE,
    "n_estimators": Range((10, 100), (200, 5000), log=True, whole=True),
    "num_rounds": Range((10, 100), (200, 5000), log=True, whole=True),
    "max_iter": Range((10, 100), (200, 5000), log=True, whole=True),
    "n_neighbors": Range((1, 3), (20, 200), log=True, whole=True),
    "min_samples_leaf": LEAST,
    "min_samples_split": Range((2, 4), (16, 256), log=True, whole=True),
    "min_data_in_leaf": LEAST,
    "max_bin": Range((8, 64), (128, 1024), log=True, whole=True),
    "subsample": SHARE,
    "colsample_bytree": SHARE,
    "feature_fraction": SHARE,
    "sample_fraction": SHARE,
    "max_features": SHARE,
    "l1_ratio": SHARE,
    "momentum": SHARE,
    "validation_fraction": Range((0.01, 0.1), (0.2, 0.5)),
    "dropout": Range((0.0, 0.1), (0.3, 0.9)),
    "label_smoothing": Range((0.0, 0.0), (0.1, 0.5)),
}

CHOICES: dict[str, tuple[Value, ...]] = {
    "activation": ("relu", "tanh", "gelu", "silu", "logistic"),
    "bootstrap": (True, False),
    "replace": (True, False),
    "shrinking": (True, False),
    "warm_up": (False, True),
    "criterion": ("gini", "entropy", "log_loss"),
    "split_rule": ("gini", "extratrees", "hellinger"),
    "normalization": ("none", "batch", "layer"),
    "scaling": ("standard", "robust", "min_max", "none"),
    "imputation": ("mean", "median", "most_frequent"),
    "weights": ("uniform", "distance"),
    "p": (1, 2),
    "embedding_size": (8, 16, 32, 64, 128),
    "num_heads": (1, 2, 4, 8),
    "kernel_size": (3, 5, 7),
    "schedule": ("constant", "cosine", "linear", "step", "exponential"),
    "grow_policy": ("depthwise", "lossguide"),
    "loss": ("hinge", "squared_hinge", "log", "huber"),
}

# What decides which of the others there are.
ROOTS: dict[str, tuple[Value, ...]] = {
    "algorithm": ("svm", "ranger", "lightgbm", "xgboost", "glmnet", "knn", "mlp", "catboost"),
    "model": ("forest", "boosting", "linear", "network", "nearest_neighbours", "bayes"),
    "optimizer": ("sgd", "adam", "adamw", "rmsprop", "lion"),
    "kernel": ("linear", "radial", "polynomial", "sigmoid"),
    "booster": ("gbtree", "gblinear", "dart"),
    "solver": ("lbfgs", "saga", "newton", "adam", "sgd"),
}

# Made-up words are syllables of one of each.
ONSETS = ("b", "c", "d", "f", "g", "k", "l", "m", "n", "p", "qu", "r", "st", "t", "v", "x", "z", "pl")
VOWELS = ("a", "e", "i", "o", "u", "en", "or")
