"""Ray Train, the loop of "Get Started with Distributed Training using PyTorch": prepare_model, prepare_data_loader, and
``ray.train.report`` at the end of the epoch, outside the timed steps. The tutorial's loop reads no loss between.

Tuned: its ``parallel_strategy_kwargs`` for bucket views, and batches that need no preparing.
"""

from __future__ import annotations

import logging
import tempfile
from typing import Any

import ray
import ray.train
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from stopwatch import Stopwatch
from workloads import WORKERS, WORKLOADS, TensorBatches, Workload, loss


def train(workload: Workload, watch: Stopwatch, *, tuned: bool) -> None:
    ray.init(address="local", num_cpus=WORKERS + 1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        config = {"workload": workload.name, "watch": vars(watch), "tuned": tuned}
        TorchTrainer(
            train_loop,
            train_loop_config=config,
            scaling_config=ScalingConfig(num_workers=WORKERS),
            run_config=RunConfig(storage_path=folder),
            torch_config=TorchConfig(backend="gloo"),
        ).fit()
    ray.shutdown()


def train_loop(config: dict[str, Any]) -> None:
    import ray.train.torch
    import torch
    from torch.utils.data import DataLoader

    workload, tuned, rank = WORKLOADS[config["workload"]], config["tuned"], ray.train.get_context().get_world_rank()
    watch = Stopwatch(warm_up=1, steps=1, path=None)
    vars(watch).update(config["watch"], **({} if rank == 0 else {"path": None}))
    torch.set_num_threads(1)
    views = {"gradient_as_bucket_view": True} if tuned else None
    model = ray.train.torch.prepare_model(workload.build(), parallel_strategy_kwargs=views)
    optimizer = torch.optim.AdamW(model.parameters(), fused=tuned or None)
    if tuned:
        batches = TensorBatches(workload, rank=rank)
    else:
        batches = ray.train.torch.prepare_data_loader(DataLoader(workload.dataset(), batch_size=workload.batch, shuffle=True))
        batches.sampler.set_epoch(0)
    for x, y in batches:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        if watch.tick():
            break
    ray.train.report({"loss": value.item()})
