"""A fitted model of one fold: preprocessing, learner, and the way back to the table's target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.tables.learners import restore_learner
from autometa.tables.learners.contract import Learner
from autometa.tables.preprocess import Preprocessor
from autometa.tables.responses import Responses
from autometa.tables.state import State, checked, load_state, save_state
from autometa.tables.table import Features


@dataclass(frozen=True)
class FoldModel:
    """A model that predicts features.

    Attributes:
        preprocessor: from features to the learner's inputs.
        algorithm: which learner it is.
        learner: the fitted learner.
        responses: from the learner's outputs to the table's target.
    """

    preprocessor: Preprocessor
    algorithm: str
    learner: Learner
    responses: Responses

    def predict(self, features: Features) -> NDArray[np.float32]:
        """Probabilities (n, classes) or values (n, 1)."""
        return self.responses.decode(self.learner.predict(self.preprocessor.transform(features)))

    def save(self, folder: Path) -> None:
        """Write the model; the folder is whole or absent, whenever the process is killed."""
        parts = {
            "preprocessor": self.preprocessor.state(),
            "learner": self.learner.state(),
            "responses": self.responses.state(),
        }
        save_state(State.joined(parts, algorithm=self.algorithm), folder)

    @classmethod
    def load(cls, folder: Path) -> FoldModel:
        """Read what :meth:`save` wrote; nothing in it can run.

        Raises:
            ModelError: it is foreign or damaged.
            MissingExtraError: the learner's library is not installed.
        """
        state = load_state(folder)
        model = checked(
            lambda: cls(
                Preprocessor.from_state(state.part("preprocessor")),
                str(state.settings["algorithm"]),
                restore_learner(state.settings["algorithm"], state.part("learner")),
                Responses.from_state(state.part("responses")),
            )
        )
        learner = model.learner
        if (learner.width, learner.outputs) != (model.preprocessor.outputs, model.responses.width):
            raise ModelError(f"the parts of the saved model in {folder} do not fit together; save it again")
        return model
