"""Optimizers as descriptions, thin over ``torch.optim``; importing them does not import torch."""

from gdist.optim.adagrad import AdaGrad
from gdist.optim.adam import Adam
from gdist.optim.adamw import AdamW
from gdist.optim.choose import as_optimizer
from gdist.optim.custom import Custom
from gdist.optim.ema import EMA
from gdist.optim.momentum import Momentum
from gdist.optim.optimizer import Optimizer, named_optimizers
from gdist.optim.rmsprop import RMSProp
from gdist.optim.sgd import SGD

__all__ = [
    "EMA",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Custom",
    "Momentum",
    "Optimizer",
    "RMSProp",
    "as_optimizer",
    "named_optimizers",
]
