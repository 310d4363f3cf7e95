"""Lightning, the module and Trainer of its guide "Lightning in 15 minutes": ``self.log("train_loss", loss)``, Trainer defaults
(CSV logger every 50 steps, progress bar, a checkpoint at the end of the epoch, outside the timed steps).

Tuned: ``Trainer(barebones=True)``, which turns all of these off, bucket views, fused AdamW.
"""

from __future__ import annotations

import os
import tempfile
import warnings

import lightning
import torch
from lightning.pytorch.strategies import DDPStrategy
from stopwatch import Stopwatch
from torch import Tensor
from torch.utils.data import DataLoader
from workloads import WORKERS, TensorBatches, Workload, loss


class Model(lightning.LightningModule):
    def __init__(self, workload: Workload, *, tuned: bool) -> None:
        super().__init__()
        self.model, self.tuned = workload.build(), tuned

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        x, y = batch
        value = loss(self.model(x), y)
        if not self.tuned:
            self.log("train_loss", value)
        return value

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), fused=self.tuned or None)


class Tick(lightning.Callback):
    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def on_train_batch_end(self, *_: object) -> None:
        self.watch.tick()


def train(workload: Workload, watch: Stopwatch, *, tuned: bool) -> None:
    warnings.filterwarnings("ignore", module="lightning")
    strategy = DDPStrategy(process_group_backend="gloo", gradient_as_bucket_view=tuned)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=WORKERS,
            strategy=strategy,
            max_steps=watch.last,
            max_epochs=1,
            callbacks=[Tick(watch)],
            default_root_dir=folder,
            barebones=tuned,
            use_distributed_sampler=not tuned,
        )
        if tuned:
            batches = TensorBatches(workload, rank=int(os.environ.get("LOCAL_RANK", "0")))
        else:
            batches = DataLoader(workload.dataset(), batch_size=workload.batch, shuffle=True)
        trainer.fit(Model(workload, tuned=tuned), batches)
