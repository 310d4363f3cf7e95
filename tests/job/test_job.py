"""What a right job is: its defaults, what it understands, and how it is described."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gdist.data import MapStyle, Tensors
from gdist.errors import JobError
from gdist.job import Callback, Clip, Job, Stop
from gdist.job.describe import describe, plain, without_credentials
from gdist.job.micro_batches import default_micro_batches, explain_accumulate
from gdist.optim import SGD, AdamW, Custom
from gdist.schedule import Cosine

X, Y = np.zeros((8, 3), "float32"), np.zeros(8, "int64")


def network(width: int = 4) -> nn.Module:
    return nn.Linear(3, width)


def job(**fields: Any) -> Job:
    return Job(**{"model": network, "loss": "cross_entropy", "data": (X, Y), **fields})


def test_a_job_of_three_fields_is_whole() -> None:
    made = job()
    assert made.last == ("epochs", 10)
    assert made.optimizer == AdamW()
    assert isinstance(made.data, Tensors)
    assert job(steps=7).last == ("steps", 7)
    assert job(stop=Stop(wall_seconds=3.0)).last is None


def test_a_job_never_changes() -> None:
    with pytest.raises(ValueError, match="frozen"):
        job().epochs = 3  # type: ignore[misc]


def test_every_field_says_what_it_is_and_what_it_takes() -> None:
    for kind in (Job, Stop, Clip, AdamW, Cosine, Custom):
        for name, field in kind.fields().items():
            assert len(field.description) > 5, f"{kind.__name__}.{name}"
            assert field.allowed, f"{kind.__name__}.{name}"


def test_datasets_lists_words_and_paths_are_taken_as_what_they_mean() -> None:
    dataset = torch.utils.data.TensorDataset(torch.zeros(5, 3), torch.zeros(5), torch.zeros(5))
    made = job(data=dataset, metrics="accuracy", validation=(X, Y), init_from=Path("w.safetensors"), recompute=["a", "b"])
    assert isinstance(made.data, MapStyle)
    assert made.metrics == ("accuracy",)
    assert isinstance(made.validation, Tensors)
    assert made.init_from == "w.safetensors"
    assert made.recompute == ("a", "b")
    assert job(optimizer=torch.optim.NAdam).optimizer == Custom(make_from=torch.optim.NAdam)
    assert job(clip={"norm": 2}).clip == Clip(norm=2.0)


def test_accumulate_becomes_micro_batches_and_is_explained() -> None:
    made = job(accumulate=4, batch_size=64)
    assert made.micro_batches == 4
    assert describe(made)["micro_batches"] == 4
    assert "accumulate" not in describe(made)
    assert explain_accumulate(4, 64).startswith("accumulate=4 was understood as micro_batches=4: the batch of 64 samples")


@pytest.mark.parametrize("batch_size", [1, 2, 7, 8, 15, 16, 24, 64, 100, 192, 4096])
def test_the_default_number_of_micro_batches_is_a_function_of_the_job_alone(batch_size: int) -> None:
    merged, apart = default_micro_batches(batch_size, mergeable=True), default_micro_batches(batch_size, mergeable=False)
    assert merged == max(v for v in (24, 16, 12, 8, 6, 4, 3, 2, 1) if v <= batch_size)
    roomy, most = (max([v for v in (24, 16, 12, 8, 6, 4, 3, 2, 1) if batch_size // v >= rows], default=1) for rows in (16, 8))
    assert apart == (roomy if roomy >= 4 else most)


def test_a_description_is_json_the_same_in_every_process_and_names_functions() -> None:
    made = job(
        predict=lambda model, batch: model(batch.features),
        optimizer=Custom(make_from=torch.optim.NAdam, arguments={"foreach": False}),
        callbacks=[Callback()],
    )
    described = describe(made)
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described["model"] == "tests.job.test_job:network"
    assert described["predict"].endswith(
        ":test_a_description_is_json_the_same_in_every_process_and_names_functions.<locals>.<lambda>"
    )
    assert described["optimizer"]["make_from"] == "torch.optim.nadam:NAdam"
    assert described["callbacks"] == ["gdist.job.callback:Callback"]
    assert described["epochs"] == 10
    assert " at 0x" not in json.dumps(described)


def test_a_description_of_an_optimizer_makes_the_same_optimizer() -> None:
    made = job(optimizer=SGD(lr=0.3, weight_decay=0.1), schedule=Cosine(warmup=3))
    again = job(optimizer=describe(made)["optimizer"], schedule=describe(made)["schedule"])
    assert (again.optimizer, again.schedule) == (made.optimizer, made.schedule)


def test_no_secret_is_in_a_description() -> None:
    made = job(
        model=lambda **anything: network(),
        model_args={"hub_token": "hf_abc", "api_key": "sk-1", "tokens": 5, "deep": {"password": "x", "max_tokens": 3}},
    )
    assert describe(made)["model_args"] == {
        "hub_token": "***",
        "api_key": "***",
        "tokens": 5,
        "deep": {"password": "***", "max_tokens": 3},
    }
    assert without_credentials("s3://AKIA:secret@bucket/x.parquet") == "s3://***@bucket/x.parquet"
    assert without_credentials("https://a/b?x=1&X-Amz-Signature=abc&y=2") == "https://a/b?x=1&X-Amz-Signature=***&y=2"
    assert without_credentials("/data/a@b/x?token=1") == "/data/a@b/x?token=1"


def test_what_json_has_no_word_for_gets_one() -> None:
    assert plain([float("nan"), float("inf"), torch.float32, np.zeros((2, 3)), {1, 2}]) == [
        "nan", "inf", "float32", "float64[2, 3]", [1, 2],
    ]  # fmt: skip
    assert plain(partial(network, width=3))["kwargs"] == {"width": 3}


def test_a_job_survives_a_trip_to_another_process() -> None:
    made = job(optimizer="momentum", stop=Stop(patience=2), validation=0.25)
    back = pickle.loads(pickle.dumps(made))
    assert describe(back) == describe(made)
    assert back.model_fields_set == made.model_fields_set


def test_values_that_only_look_right_are_refused_not_turned() -> None:
    for fields in ({"epochs": "5"}, {"epochs": 5.0}, {"shuffle": 1}, {"ema": True}, {"seed": None}):
        with pytest.raises(JobError, match="must be"):
            job(**fields)


def test_only_its_own_checks_see_what_a_user_s_loss_logs() -> None:
    made = job(loss=lambda model, batch: 0, stop=Stop(patience=2, metric="validation.my_score"), validation=0.5)
    assert made.stop.lower_is_better


def test_importing_jobs_optimizers_and_schedules_loads_nothing_heavy_and_is_quick() -> None:
    code = (
        "import sys, time; t = time.process_time(); import gdist.job.load, gdist.job.describe; "
        "print(time.process_time() - t, [m for m in ('torch', 'numpy', 'pyarrow', 'ray', 'torchmetrics') if m in sys.modules])"
    )
    tries = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in range(3)]
    assert {each.split(" ", 1)[1] for each in tries} == {"[]\n"}
    assert min(float(each.split()[0]) for each in tries) < 0.3  # 0.11 s on a quiet machine; CPU time, as neighbours are loud


def test_making_a_job_is_quick() -> None:
    job()
    begun = time.process_time()
    for _ in range(20):
        job()
    assert (time.process_time() - begun) / 20 < 0.01
