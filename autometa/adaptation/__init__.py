"""Learning to learn, on dicts of tensors: MAML and its kin, Reptile, the LSTM meta-learner, and the one outer loop.

Nothing here knows of datasets, search spaces or searches. A model is a loss: a function of parameters and data.
"""

from autometa.adaptation.inner_loop import InnerLoop, Loss, Params, UpdateRule, adapt
from autometa.adaptation.lstm_rule import LSTMRule
from autometa.adaptation.outer_loss import (
    Learner,
    Tasks,
    in_bfloat16,
    learner,
    masked_mean,
    meta_gradient,
    outer_loss,
    query_losses,
)
from autometa.adaptation.reptile import reptile_gradient
from autometa.adaptation.trainer import MetaTrainer, Progress, Settings

__all__ = [
    "InnerLoop",
    "LSTMRule",
    "Learner",
    "Loss",
    "MetaTrainer",
    "Params",
    "Progress",
    "Settings",
    "Tasks",
    "UpdateRule",
    "adapt",
    "in_bfloat16",
    "learner",
    "masked_mean",
    "meta_gradient",
    "outer_loss",
    "query_losses",
    "reptile_gradient",
]
