"""Words from the command line become fields of the right type, or one clear error each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gdist.data import Tensors
from gdist.errors import UsageError
from gdist.job import Clip, Job, Stop
from gdist.job.describe import describe
from gdist.job.overrides import apply_overrides
from gdist.optim import SGD, Adam, AdamW, Custom, Momentum, RMSProp
from gdist.schedule import Constant, Cosine, StepDecay

X, Y = np.zeros((8, 3), "float32"), np.zeros(8, "int64")


def network(width: int = 4, rate: float = 0.0, kind: str = "relu", bias: bool = True, shape: tuple[int, ...] = (1,), x=None) -> nn.Module:  # type: ignore[no-untyped-def]  # fmt: skip  # noqa: E501
    return nn.Linear(3, width)


def job(**fields: Any) -> Job:
    return Job(**{"model": network, "loss": "cross_entropy", "data": (X, Y), **fields})


RIGHT: dict[str, tuple[str, Any]] = {  # word: (field, value)
    "epochs=5": ("epochs", 5),
    "epochs=1e1": ("epochs", 10),
    "epochs=none": ("epochs", None),
    "batch_size=full": ("batch_size", "full"),
    "batch_size=1_000": ("batch_size", 1000),
    "shuffle=no": ("shuffle", False),
    "exact=true": ("exact", True),
    "merge=auto": ("merge", "auto"),
    "merge=false": ("merge", False),
    "ema=0.99": ("ema", 0.99),
    "precision=bf16": ("precision", "bf16"),
    "validation=0.25": ("validation", 0.25),
    "validation=none": ("validation", None),
    "loss=mse": ("loss", "mse"),
    "loss=tests.job.test_overrides:a_loss": ("loss", "a_loss"),
    "recompute=blocks": ("recompute", "blocks"),
    "recompute=encoder,decoder": ("recompute", ("encoder", "decoder")),
    "name=7": ("name", "7"),
    "init_from=a,b.safetensors": ("init_from", "a,b.safetensors"),
    "optimizer=sgd": ("optimizer", SGD()),
    "optimizer=adamw": ("optimizer", AdamW(lr=0.5, weight_decay=0.25)),  # the same class: what the file says stays
    "optimizer.lr=3e-4": ("optimizer", AdamW(lr=3e-4, weight_decay=0.25)),
    "optimizer.betas=[0.8, 0.9]": ("optimizer", AdamW(lr=0.5, weight_decay=0.25, betas=(0.8, 0.9))),
    "optimizer.betas=0.8,0.9": ("optimizer", AdamW(lr=0.5, weight_decay=0.25, betas=(0.8, 0.9))),
    "optimizer.decay=matrices": ("optimizer", AdamW(lr=0.5, weight_decay=0.25, decay="matrices")),
    "schedule=cosine": ("schedule", Cosine()),
    "schedule.warmup=100": ("schedule", Constant(warmup=100)),
    "clip.norm=1.0": ("clip", Clip(norm=1.0)),
    "clip.value=2": ("clip", Clip(value=2.0)),
    "clip=none": ("clip", None),
    "stop.loss_below=0.1": ("stop", Stop(loss_below=0.1)),
    "model.width=64": ("model_args", {"width": 64}),
    "model.rate=1": ("model_args", {"rate": 1.0}),
    "model.kind=3": ("model_args", {"kind": "3"}),
    "model.bias=false": ("model_args", {"bias": False}),
    "model.shape=2,3": ("model_args", {"shape": (2, 3)}),
    "model.x=[1, 2]": ("model_args", {"x": [1, 2]}),
    "model_args.width=64": ("model_args", {"width": 64}),
}


def a_loss(model: Any, batch: Any) -> Any: ...


@pytest.mark.parametrize(("word", "expected"), RIGHT.items(), ids=RIGHT)
def test_a_word_sets_its_field_with_the_field_s_type(word: str, expected: tuple[str, Any]) -> None:
    field, value = expected
    found = getattr(apply_overrides(job(optimizer=AdamW(lr=0.5, weight_decay=0.25)), [word]), field)
    found = getattr(found, "__name__", found) if value == "a_loss" else found
    assert found == value
    assert type(found) is type(value)


def test_metrics_are_a_list_of_words() -> None:
    for word in ("metrics=accuracy,f1", "metrics=[accuracy, f1]", "metrics=['accuracy', 'f1']", 'metrics=["accuracy","f1"]'):
        assert apply_overrides(job(validation=0.5), [word]).metrics == ("accuracy", "f1")


def test_the_order_of_words_does_not_matter_and_of_two_for_one_field_the_later_counts() -> None:
    words = ["optimizer.momentum=0.5", "schedule.every=7", "optimizer=momentum", "schedule=step_decay"]
    for ordered in (words, words[::-1]):
        made = apply_overrides(job(), ordered)
        assert (made.optimizer, made.schedule) == (Momentum(momentum=0.5), StepDecay(every=7))
    assert apply_overrides(job(), ["epochs=3", "epochs=4"]).epochs == 4


def test_a_word_takes_the_place_of_the_file_s_other_way_to_say_it() -> None:
    assert apply_overrides(job(epochs=5), ["steps=100"]).last == ("steps", 100)
    assert apply_overrides(job(steps=5), ["epochs=2"]).last == ("epochs", 2)
    assert apply_overrides(job(micro_batches=4), ["accumulate=2"]).micro_batches == 2
    assert apply_overrides(job(accumulate=4), ["micro_batches=2"]).micro_batches == 2
    assert apply_overrides(job(clip=Clip(norm=1.0)), ["clip.value=0.5"]).clip == Clip(value=0.5)
    with pytest.raises(UsageError, match="both say when to end"):
        apply_overrides(job(), ["epochs=2", "steps=100"])


def test_words_are_judged_together() -> None:
    made = apply_overrides(job(), ["stop.patience=3", "stop.metric=validation.accuracy", "metrics=accuracy", "validation=0.5"])
    assert made.stop == Stop(patience=3, metric="validation.accuracy")


def test_fields_of_sources_and_of_torch_optimizers_are_reached() -> None:
    made = job(optimizer=torch.optim.NAdam)
    assert apply_overrides(made, ["optimizer.momentum_decay=0.01", "optimizer.lr=0.1"]).optimizer == Custom(
        make_from=torch.optim.NAdam, lr=0.1, arguments={"momentum_decay": 0.01}
    )
    assert isinstance(apply_overrides(made, ["seed=1"]).data, Tensors)


def test_no_words_change_nothing_and_the_job_itself_stays() -> None:
    made = job()
    before = describe(made)
    assert apply_overrides(made, []) is made
    apply_overrides(made, ["epochs=3", "model.width=9"])
    assert describe(made) == before


WRONG: dict[str, tuple[list[str], str, str | None, str | None]] = {  # words: what, help, note
    "unknown inner field": (
        ["optimizer.learning_rate=3e-4"],
        "unknown field `optimizer.learning_rate`",
        "did you mean `optimizer.lr`? fields of optimizer: lr, weight_decay, decay, betas, eps, amsgrad",
        "the optimizer is adamw",
    ),
    "field of another optimizer": (
        ["optimizer.nesterov=true"],
        "unknown field `optimizer.nesterov`",
        "optimizer=momentum optimizer.nesterov=true (has it: momentum)",
        "the optimizer is adamw",
    ),
    "wrong type": (
        ["epochs=many"],
        "`epochs` must be a whole number >= 1 or None, not 'many'",
        "epochs = passes over the training data; 10 if nothing else ends the run",
        None,
    ),
    "out of range": (
        ["optimizer.lr=-1"], "`optimizer.lr` must be a number > 0, not -1.0", "lr = learning rate, per step", None,
    ),
    "wrong choice": (
        ["precision=float16"],
        "`precision` must be 'fp32', 'bf16', 'fp16' or 'fp64', not 'float16'",
        "did you mean 'fp16'?",
        None,
    ),
    "model argument": (
        ["model.widht=3"],
        "the model takes no argument `widht`",
        "did you mean `model.width`? its arguments: width, rate, kind, bias, shape, x",
        None,
    ),
    "type of a model argument": (
        ["model.width=big"], "`model.width` must be a whole number, as the function says, not 'big'", None, None,
    ),
    "unknown optimizer": (
        ["optimizer=adm"],
        "`optimizer` must be a known optimizer, not 'adm'",
        "did you mean 'adam'? names: adagrad, adam, adamw, momentum, rmsprop, sgd; or a torch.optim class",
        None,
    ),
    "whole description": (["clip=1"], "`clip` has fields of its own", "set one: clip.norm, clip.value", None),
    "whole data": (
        ["data=x.parquet"],
        "`data` cannot be set whole to 'x.parquet'",
        "set its fields: data.features, data.target, data.extra",
        None,
    ),
    "field of nothing": (
        ["ema.decay=0.9"], "`ema` is None: it has no field `decay`", "set it in the job file, or whole: ema=...", None,
    ),
    "no value": (["epochs"], "`epochs` sets nothing", "write field=value, such as optimizer.lr=0.003", None),
    "nothing to import": (
        ["loss=no.such:thing"],
        "`loss` cannot be imported from 'no.such:thing': No module named 'no'",
        "write module:name",
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("words", "what", "help", "note"), WRONG.values(), ids=WRONG)
def test_a_wrong_word_is_refused_with_exactly_this_message(
    words: list[str], what: str, help: str | None, note: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        apply_overrides(job(), words)
    error = caught.value
    assert (error.what, error.help, error.note) == (what, help, note)
    assert error.where == f"command line: {' '.join(words)}"
    assert error.exit_code == 2


def test_a_bare_inner_name_is_answered_with_its_path() -> None:
    for word, path in (
        ("lr=1", "optimizer.lr"),
        ("warmup=9", "schedule.warmup"),
        ("width=9", "model.width"),
        ("norm=1", "clip.norm"),
    ):
        with pytest.raises(UsageError, match=f"did you mean `{path}`"):
            apply_overrides(job(), [word])


def test_of_several_words_the_ones_that_contradict_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        apply_overrides(job(), ["seed=3", "batch_size=4", "micro_batches=8", "optimizer.lr=0.1"])
    assert caught.value.where == "command line: batch_size=4 micro_batches=8"


def test_switching_the_optimizer_keeps_nothing_of_the_old_one() -> None:
    made = job(optimizer=Adam(lr=0.5, weight_decay=0.25))
    assert apply_overrides(made, ["optimizer=rmsprop"]).optimizer == RMSProp()
    assert apply_overrides(made, ["optimizer=rmsprop", "optimizer.lr=0.25"]).optimizer == RMSProp(lr=0.25)
