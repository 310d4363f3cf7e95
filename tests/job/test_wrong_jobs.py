"""Every wrong job is one message when it is made: what is wrong, and the mend, word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from gdist.errors import DataError, JobError
from gdist.job import Callback, Clip, Job, Stop
from gdist.optim import AdamW
from gdist.schedule import Cosine

X, Y = np.zeros((8, 3), "float32"), np.zeros(8, "int64")
LOSSES = "losses: mse, mae, huber, cross_entropy, binary_cross_entropy, hinge; or a function loss(model, batch)"
OPTIMIZERS = "names: adagrad, adam, adamw, momentum, rmsprop, sgd; or a torch.optim class"
SCHEDULES = "names: constant, cosine, linear, step_decay, warmup_stable_decay"
HOLD_OUT = "validation=0.1 holds out a tenth of the rows"


def network(width: int = 4, depth: int = 2) -> nn.Module:
    return nn.Linear(3, width)


def hungry(width: int, *, depth: int = 2) -> nn.Module:
    return nn.Linear(3, width)


class Misspelt(Callback):
    def on_step_ends(self, line: dict[str, Any], wishes: Any) -> None: ...


class Case(NamedTuple):
    """Fields that are changed in a right job, and the message."""

    fields: Callable[[], dict[str, Any]]
    what: str
    help: str | None
    note: str | None = None


WRONG = {
    "a batch of no samples": Case(
        lambda: dict(batch_size=0),
        "`batch_size` must be a whole number >= 1 or 'full', not 0",
        "batch_size = samples of a step, over all workers, at least 1; 'full': all there are",
    ),
    "a batch of a word": Case(
        lambda: dict(batch_size="ful"), "`batch_size` must be a whole number >= 1 or 'full', not 'ful'", "did you mean 'full'?"
    ),
    "true is not one sample": Case(
        lambda: dict(batch_size=True),
        "`batch_size` must be a whole number >= 1 or 'full', not True",
        "batch_size = samples of a step, over all workers, at least 1; 'full': all there are",
    ),
    "two ends": Case(lambda: dict(epochs=3, steps=10), "`epochs`=3 and `steps`=10 both say when to end", "set one of them"),
    "accumulate beside micro_batches": Case(
        lambda: dict(accumulate=4, micro_batches=2),
        "`accumulate`=4 and `micro_batches`=2 are two names for one thing",
        "set only micro_batches: the parts of a step, however many workers share them",
    ),
    "more micro-batches than samples": Case(
        lambda: dict(batch_size=4, micro_batches=8),
        "`batch_size`=4 samples cannot be cut into `micro_batches`=8 parts",
        "micro_batches must be at most 4; batch_size counts the samples of all of them",
    ),
    "patience without validation": Case(
        lambda: dict(stop=Stop(patience=3)),
        "`stop.patience` watches validation.loss, but the job has no validation data",
        f"{HOLD_OUT}; or stop.metric='train.loss'",
    ),
    "a stop metric that is not measured": Case(
        lambda: dict(stop=Stop(patience=3, metric="validation.accuracy"), validation=0.25),
        "`stop.patience` watches validation.accuracy, which the job does not measure",
        "metrics=['accuracy']",
    ),
    "a misspelt stop metric": Case(
        lambda: dict(stop=Stop(restore_best=True, metric="validation.acuracy"), metrics=["accuracy"], validation=0.25),
        "`stop.restore_best` watches validation.acuracy, which the job does not measure",
        "did you mean 'validation.accuracy'? measured: loss, accuracy",
    ),
    "metrics without validation": Case(
        lambda: dict(metrics=["accuracy"]),
        "`metrics` accuracy cannot be measured: the job has no validation data",
        f"{HOLD_OUT}; or validation=Parquet(...)",
    ),
    "an unknown metric": Case(
        lambda: dict(metrics=["acc"], validation=0.25),
        "`metrics` must be known metrics: 'acc' is none",
        "did you mean 'accuracy'? metrics: accuracy, top5_accuracy, precision, recall, f1, auroc, mse, rmse, mae, r2",
    ),
    "an unknown loss": Case(
        lambda: dict(loss="crossentropy"),
        "`loss` must be a known loss, not 'crossentropy'",
        f"did you mean 'cross_entropy'? {LOSSES}",
    ),
    "torch's loss class": Case(
        lambda: dict(loss=nn.CrossEntropyLoss),
        "`loss` must be a function of (model, batch), not torch's CrossEntropyLoss of (outputs, target)",
        "loss='cross_entropy'; or lambda model, batch: CrossEntropyLoss(...)(model(batch.features), batch.target)",
    ),
    "torch's loss function": Case(
        lambda: dict(loss=nn.functional.mse_loss),
        "`loss` must be a function of (model, batch), not torch's mse_loss of (outputs, target)",
        "loss='mse'; or lambda model, batch: mse_loss(model(batch.features), batch.target)",
    ),
    "a loss of the batch alone": Case(
        lambda: dict(loss=lambda batch: 0), "`loss` must take (model, batch): <lambda>(batch) does not", None
    ),
    "no model": Case(
        lambda: dict(model=None),
        "`model` is missing",
        "Job(model=...): what makes the nn.Module; or a task of its own: Job(task=...)",
    ),
    "a model instead of what makes it": Case(
        lambda: dict(model=network()),
        "`model` must be what makes the model, not a model: it is a Linear",
        "model=Linear, model_args={...}; or a function: def make(): return Linear(...)",
        "every worker makes its own, from the job's seed",
    ),
    "an argument that the model does not take": Case(
        lambda: dict(model_args={"widht": 3}),
        "the model takes no argument `widht`",
        "did you mean `model.width`? its arguments: width, depth",
    ),
    "an argument that the model needs": Case(
        lambda: dict(model=hungry),
        "the model needs an argument `width`",
        "model_args={'width': ...}, or a default in its function",
    ),
    "an unknown optimizer": Case(
        lambda: dict(optimizer="adm"), "`optimizer` must be a known optimizer, not 'adm'", f"did you mean 'adam'? {OPTIMIZERS}"
    ),
    "a wrong rate in a dict": Case(
        lambda: dict(optimizer={"kind": "adam", "lr": -1}),
        "`optimizer.lr` must be a number > 0, not -1",
        "lr = learning rate, per step",
    ),
    "a field that another optimizer has": Case(
        lambda: dict(optimizer={"kind": "adam", "learning_rate": 1}),
        "unknown field `optimizer.learning_rate`",
        "did you mean `optimizer.lr`? all fields: lr, weight_decay, decay, betas, eps, amsgrad",
    ),
    "an optimizer that is built already": Case(
        lambda: dict(optimizer=torch.optim.SGD(network().parameters(), lr=0.1)),
        "`optimizer` is already built: SGD holds parameters of one model",
        "gdist builds it on every worker: give the class, optimizer=Custom(make_from=torch.optim...., lr=...)",
    ),
    "an unknown schedule": Case(
        lambda: dict(schedule="cosin"),
        "`schedule` must be a known schedule, not 'cosin'",
        f"did you mean 'cosine'? {SCHEDULES}",
    ),
    "a schedule without its end": Case(
        lambda: dict(schedule="cosine", stop=Stop(wall_seconds=5.0)),
        "`schedule` cosine must know where the run ends, and the job ends only by a stop rule",
        "set epochs, steps, or schedule.steps",
    ),
    "a warm-up as long as the run": Case(
        lambda: dict(schedule=Cosine(warmup=10), steps=10),
        "`schedule.warmup`=10 is as long as the whole run of `steps`=10",
        "warmup must be below 10",
    ),
    "a number as clipping": Case(lambda: dict(clip=1.0), "`clip` must be Clip(...), not 1.0", "its fields: norm, value"),
    "an average that never moves": Case(
        lambda: dict(ema=1.0),
        "`ema` must be a number > 0 and < 1 or None, not 1.0",
        "ema = decay of a moving average of the weights, which is then the result",
    ),
    "torch's name of a precision": Case(
        lambda: dict(precision="bfloat16"),
        "`precision` must be 'fp32', 'bf16', 'fp16' or 'fp64', not 'bfloat16'",
        "did you mean 'bf16'?",
    ),
    "a gpu": Case(lambda: dict(device="gpu"), "`device` must be 'auto', 'cpu' or 'cuda', not 'gpu'", "did you mean 'cuda'?"),
    "one module to recompute": Case(
        lambda: dict(recompute="encoder"),
        "`recompute` must be 'none', 'blocks' or a list of module names, not 'encoder'",
        "a single module: recompute=['encoder']",
    ),
    "exact and merged": Case(
        lambda: dict(exact=True, merge=True),
        "`exact` computes every micro-batch by itself, `merge`=True asks for the opposite",
        "leave one of them out",
    ),
    "a pass size without merging": Case(
        lambda: dict(pass_size=8, merge=False),
        "`pass_size` cannot act: with `merge`=False passes are not merged",
        "leave `pass_size` out",
    ),
    "a limit of skips where none is skipped": Case(
        lambda: dict(non_finite_limit=3),
        "`non_finite_limit`=3 cannot act: `non_finite`='stop' ends the run at once",
        "non_finite='skip' allows that many in a row",
    ),
    "all rows held out": Case(
        lambda: dict(validation=1),
        "`validation` must be a share between 0 and 1, or a source, not 1",
        "validation=0.1 holds out a tenth",
    ),
    "a path as data": Case(
        lambda: dict(data="x.parquet"), "data is the path 'x.parquet', not a source", "data=Parquet(path='x.parquet')"
    ),
    "a path as validation data": Case(
        lambda: dict(validation="x.parquet"),
        "`validation` is wrong: it is the path 'x.parquet', not a source",
        "validation=Parquet(path='x.parquet')",
    ),
    "arrays of different lengths": Case(
        lambda: dict(data=(X, Y[:3])),
        "the arrays differ in their number of rows",
        None,
        "rows: `features` 8, `target` 3",
    ),
    "initial weights twice": Case(
        lambda: dict(initialize="he", init_from="w.safetensors"),
        "`initialize`='he' would be overwritten by the weights of `init_from`",
        "leave one of them out",
    ),
    "GPUs for workers on the CPU": Case(
        lambda: dict(device="cpu", gpus_per_worker=1),
        "`gpus_per_worker`=1 cannot act with `device`='cpu'",
        "leave one of them out",
    ),
    "a callback's misspelt place": Case(
        lambda: dict(callbacks=[Misspelt()]),
        "`callbacks` has `Misspelt.on_step_ends`, which is never called",
        "did you mean `on_step_end`? places: on_step_end, on_evaluation, on_checkpoint, on_end",
    ),
    "a callback's class": Case(
        lambda: dict(callbacks=[Callback]), "`callbacks` must be objects: Callback is a class", "callbacks=[Callback()]"
    ),
    "a task that is a function": Case(
        lambda: dict(task=network), "`task` must be a subclass of gdist.Task, not the function network", None
    ),
    "a name that is a path": Case(
        lambda: dict(name="a/b"), "`name` must do as a folder's name, not 'a/b'", "letters, digits, - and _"
    ),
    "a run without end": Case(
        lambda: dict(stop={"wall_seconds": float("inf")}),
        "`wall_seconds` of Stop must be a number > 0 or None, not inf",
        "wall_seconds = seconds of training, resumed sessions included",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_job_is_refused_with_exactly_this_message(case: Case) -> None:
    right: dict[str, Any] = dict(model=network, loss="cross_entropy", data=(X, Y))
    with pytest.raises(JobError) as caught:
        Job(**{**right, **case.fields()})
    error = caught.value
    assert (error.what, error.help, error.note) == (case.what, case.help, case.note)
    assert error.where is not None
    assert error.where.startswith("tests/job/test_wrong_jobs.py:")
    assert error.exit_code == 2


def test_an_unknown_field_is_answered_with_the_nearest_and_all_of_them() -> None:
    with pytest.raises(JobError) as caught:
        Job(model=network, loss="mse", data=(X, Y), batchsize=3)  # type: ignore[call-arg]
    assert caught.value.what == "unknown field `batchsize`"
    assert caught.value.help == "did you mean `batch_size`? all fields: gdist check --fields"


def test_missing_data_is_said_with_what_it_may_be() -> None:
    with pytest.raises(JobError) as caught:
        Job(model=network, loss="mse")  # type: ignore[call-arg]
    assert caught.value.what == "`data` is missing"
    assert caught.value.help == f"data = {Job.model_fields['data'].description}"


def test_the_place_is_the_line_of_the_field_itself() -> None:
    with pytest.raises(JobError) as caught:
        Job(
            model=network,
            loss="mse",
            data=(X, Y),
            epochs=0,
        )
    assert caught.value.where is not None
    assert caught.value.where.endswith("in test_the_place_is_the_line_of_the_field_itself:  epochs=0,")


def test_descriptions_refuse_what_cannot_act() -> None:
    for make, what in (
        (lambda: Clip(), "`clip` says neither norm nor value"),
        (lambda: Clip(norm=1.0, value=1.0), "`clip.norm` and `clip.value` are both given"),
        (lambda: Stop(metric="validation.loss"), "`stop.metric` cannot act alone"),
        (lambda: Stop(patience=1, metric="accuracy"), "`stop.metric` cannot be 'accuracy'"),
        (lambda: Stop(tolerance_evaluations=3), "`stop.tolerance_evaluations` cannot act without `stop.tolerance`"),
        (lambda: Cosine(steps=5, warmup=5), "`warmup` 5 leaves nothing of the schedule's 5 steps"),
        (lambda: AdamW(betas=(0.9, 1.0)), "`betas` of AdamW must be two numbers in [0, 1), not (0.9, 1.0)"),
    ):
        with pytest.raises(JobError) as caught:
            make()
        assert caught.value.what == what


def test_wrong_data_is_a_data_error_which_is_a_job_error() -> None:
    with pytest.raises(DataError):
        Job(model=network, loss="mse", data=())
