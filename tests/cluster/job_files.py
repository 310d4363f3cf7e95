"""Job files for runs on Ray: small ones, written where a test wants them."""

from __future__ import annotations

from pathlib import Path

_REGRESSION = """
import torch
from torch import nn
from gdist.job import Job

generator = torch.Generator().manual_seed(0)
x = torch.randn(512, 8, generator=generator)
y = x @ torch.randn(8, 1, generator=generator)
{before}

def model():
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))

job = Job(model=model, loss={loss}, data=(x, y), batch_size=32, {fields})
"""

ENDLESS = "micro_batches=4, epochs=10**6, checkpoint_every=10**9, evaluate_every=10**9"

_RAISES_ON_ONE_WORKER = """
import os

steps = 0
chosen = False

def loss(model, batch):
    global steps, chosen
    if steps == 0:
        try:
            os.close(os.open(MARK, os.O_CREAT | os.O_EXCL))
            chosen = True
        except FileExistsError:
            pass
    steps += 1
    if chosen and steps > 30:
        raise ValueError("no more of this")
    return ((model(batch.features) - batch.target) ** 2).mean()
"""


def regression(folder: Path, name: str = "regression", *, fields: str, before: str = "", loss: str = '"mse"') -> str:
    """The path of a job file: a small regression with ``fields``; ``before``: code that runs as the file is loaded."""
    path = folder / f"{name}.py"
    path.write_text(_REGRESSION.format(fields=fields, before=before, loss=loss))
    return str(path)


def raising(folder: Path) -> str:
    """A job whose loss raises after some steps, on whichever worker computes first."""
    before = _RAISES_ON_ONE_WORKER.replace("MARK", repr(str(folder / "mark")))
    return regression(folder, "raising", fields=ENDLESS, before=before, loss="loss")
