"""Write the two example tables from data that scikit-learn brings along.

Run it as `python examples/data/make_examples.py [FOLDER]`; README.md beside this file says what was
changed and why. The same versions of numpy and scikit-learn write the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_wine

SEED = 0
MISSING_SHARE = 0.05


def tumours() -> pd.DataFrame:
    """Breast tumours: eight measures, one of them missing at times, and the size as a word."""
    data = load_breast_cancer(as_frame=True)
    source = data.frame
    columns = {
        "mean texture": "texture",
        "mean smoothness": "smoothness",
        "mean compactness": "compactness",
        "mean symmetry": "symmetry",
        "mean fractal dimension": "fractal_dimension",
        "texture error": "texture_error",
        "smoothness error": "smoothness_error",
        "worst symmetry": "worst_symmetry",
    }
    frame = source[list(columns)].rename(columns=columns)
    size = pd.qcut(source["mean radius"], 4, labels=["small", "medium", "large", "very large"])
    frame.insert(0, "size", size.astype(str))
    for position, column in enumerate(["size", "texture", "symmetry"]):
        rng = np.random.default_rng([SEED, position])
        frame.loc[rng.random(len(frame)) < MISSING_SHARE, column] = np.nan
    frame["diagnosis"] = data.target.map(dict(enumerate(data.target_names)))
    return frame


def wines() -> pd.DataFrame:
    """Italian wines: the alcohol from the other measures and the cultivar."""
    data = load_wine(as_frame=True)
    frame = data.data.rename(columns={"od280/od315_of_diluted_wines": "od280_od315"})
    frame.insert(0, "cultivar", data.target.map({0: "first", 1: "second", 2: "third"}))
    frame["alcohol"] = frame.pop("alcohol")
    return frame


def main(folder: Path) -> None:
    """Write tumours.csv and wines.csv into a folder."""
    tumours().to_csv(folder / "tumours.csv", index=False, lineterminator="\n")
    wines().to_csv(folder / "wines.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
