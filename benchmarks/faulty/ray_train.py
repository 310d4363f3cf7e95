"""Ray Train's way: TorchTrainer with FailureConfig, a checkpoint reported by rank 0 every so often, taken up from the last.

As in its guides "Saving and Loading Checkpoints" and "Handling Failures and Node Preemption".
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

MAX_FAILURES = 3


def main() -> None:
    import logging

    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from workloads import WORKERS

    ray.init(address="local", num_cpus=WORKERS + 1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    TorchTrainer(
        train_loop,
        scaling_config=ScalingConfig(num_workers=WORKERS),
        run_config=RunConfig(storage_path=os.environ["BENCH_STATE"], failure_config=FailureConfig(max_failures=MAX_FAILURES)),
        torch_config=TorchConfig(backend="gloo"),
    ).fit()


def train_loop(config: dict[str, Any]) -> None:
    import ray.train
    import ray.train.torch
    import torch

    from faulty.model import CHECKPOINT_EVERY, Batches, build, loss
    from faulty.records import Watched

    torch.set_num_threads(1)
    rank = ray.train.get_context().get_world_rank()
    model = ray.train.torch.prepare_model(build())
    optimizer = Watched(model.parameters())
    batches, step = Batches(rank=rank), 0
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            found = torch.load(Path(folder, "state.pt"), weights_only=True)
        model.module.load_state_dict(found["model"])
        optimizer.load_state_dict(found["optimizer"])
        step = found["step"]
    while True:
        x, y = batches.at(step)
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        step += 1
        if step % CHECKPOINT_EVERY == 0:
            with tempfile.TemporaryDirectory() as folder:
                written = None
                if rank == 0:
                    state = {"model": model.module.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
                    torch.save(state, Path(folder, "state.pt"))
                    written = ray.train.Checkpoint.from_directory(folder)
                ray.train.report({"loss": value.item()}, checkpoint=written)


if __name__ == "__main__":
    main()
