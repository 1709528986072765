"""Learning to learn, on dicts of tensors: MAML and its kin, Reptile, the LSTM meta-learner, and the one outer loop.

Nothing here knows of datasets, search spaces or searches. A model is a loss: a function of parameters and data.
"""

from autometa.adaptation.inner_loop import InnerLoop, Loss, Params, Rates, UpdateRule, adapt
from autometa.adaptation.lstm_rule import LSTMRule
from autometa.adaptation.normalisation import batch_norm, layer_norm
from autometa.adaptation.outer_loss import (
    Gradient,
    Learner,
    Prepare,
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
    "Gradient",
    "InnerLoop",
    "LSTMRule",
    "Learner",
    "Loss",
    "MetaTrainer",
    "Params",
    "Prepare",
    "Progress",
    "Rates",
    "Settings",
    "Tasks",
    "UpdateRule",
    "adapt",
    "batch_norm",
    "in_bfloat16",
    "layer_norm",
    "learner",
    "masked_mean",
    "meta_gradient",
    "outer_loss",
    "query_losses",
    "reptile_gradient",
]
