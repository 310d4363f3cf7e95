"""What a job says of its validation and test data: in Python, on the command line, when its run goes on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from torch import nn

from gdist.data import Split, Tensors
from gdist.errors import JobError, UsageError
from gdist.job import Job, Stop
from gdist.job.describe import describe
from gdist.job.overrides import apply_overrides
from gdist.run.resume import check_changes, check_job

X, Y = np.zeros((8, 3), "float32"), np.zeros(8, "int64")


def job(**fields: Any) -> Job:
    return Job(
        **{"model": nn.Linear, "model_args": {"in_features": 3, "out_features": 2}, "loss": "mse", "data": (X, Y), **fields}
    )


def test_a_job_takes_a_split_a_share_or_a_source_and_says_which() -> None:
    made = job(validation=Split(share=0.1, group="user"), test=0.2)
    assert describe(made)["validation"] == {"kind": "Split", "share": 0.1, "group": "user"}
    assert describe(made)["test"] == 0.2
    assert isinstance(job(test=(X, Y)).test, Tensors)
    assert describe(job())["test"] is None


@pytest.mark.parametrize(
    ("fields", "what", "help"),
    [
        ({"test": 1}, "`test` must be a share between 0 and 1, or a source, not 1", "test=0.1 holds out a tenth"),
        ({"test": "x.parquet"}, "`test` is wrong: it is the path 'x.parquet'", r"test=Parquet\(path='x.parquet'\)"),
        ({"test": Split(share=0.1)}, "`test` must be a share .*, not a Split", r"validation=Split\(..., test=0.1\)"),
        ({"validation": 0.6, "test": 0.6}, "leave nothing to train on", "below 1"),
        ({"validation": Split(share=0.1, test=0.1), "test": 0.1}, "two names for one thing", "set one"),
        ({"validation": Split(test=0.1), "stop": Stop(patience=2)}, "but the job has no validation data", "holds out a tenth"),
    ],
)
def test_what_contradicts_itself_is_refused(fields: dict[str, Any], what: str, help: str) -> None:
    with pytest.raises(JobError, match=what) as caught:
        job(**fields)
    assert caught.value.help is not None
    assert re.search(help, caught.value.help)


def test_metrics_may_be_those_of_test_data_alone() -> None:
    assert job(metrics=["mae"], test=0.2).metrics == ("mae",)


@pytest.mark.parametrize(
    ("before", "words", "after"),
    [
        (None, ["validation.share=0.2"], Split(share=0.2)),
        (0.1, ["validation.share=0.2"], Split(share=0.2)),
        (0.1, ["validation.group=user"], Split(share=0.1, group="user")),
        (None, ["validation.group=user", "validation.share=0.2"], Split(share=0.2, group="user")),
        (Split(share=0.1, group="user"), ["validation.test=0.2"], Split(share=0.1, test=0.2, group="user")),
        (0.1, ["validation.stratify=true"], Split(share=0.1, stratify=True)),
        (0.1, ["validation.stratify=kind"], Split(share=0.1, stratify="kind")),
        (None, ["validation.column=split", "validation.validation=val"], Split(column="split", validation="val")),
        (None, ["validation.validation=[a, b]", "validation.column=split"], Split(column="split", validation=("a", "b"))),
        (None, ["validation.validation=3", "validation.column=fold"], Split(column="fold", validation=3)),
        (Split(share=0.1, group="user"), ["validation=0.2"], 0.2),
        (Split(share=0.1, group="user"), ["validation=none"], None),
        (0.1, ["validation=0.3", "validation.group=user"], Split(share=0.3, group="user")),
    ],
)
def test_a_split_is_set_from_the_command_line_in_any_order(before: Any, words: list[str], after: Any) -> None:
    for order in (words, words[::-1]):
        assert apply_overrides(job(validation=before), order).validation == after


def test_the_share_of_test_rows_is_set_from_the_command_line() -> None:
    assert apply_overrides(job(), ["test=0.25"]).test == 0.25
    assert apply_overrides(job(test=0.25), ["test=none"]).test is None


@pytest.mark.parametrize(
    ("words", "what", "help"),
    [
        (["validation.shar=0.2"], "unknown field `validation.shar`", "did you mean `validation.share`?"),
        (["validation.share=2"], "`validation.share` must be a number > 0 and < 1", "share = of the rows"),
        (["validation.share=some"], "`validation.share` must be a number > 0 and < 1 or None, not 'some'", "share = of"),
        (["validation.group=user"], "the split says not what is held out", "Split(share=0.1)"),
        (["test=x.parquet"], "`test` cannot be set whole to 'x.parquet'", None),
    ],
)
def test_wrong_words_are_named(words: list[str], what: str, help: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        apply_overrides(job(), words)
    assert what in caught.value.what
    assert help is None or help in (caught.value.help or "")
    assert words[0] in (caught.value.where or "")


def described(**fields: Any) -> dict[str, Any]:
    return describe(job(**fields))


REFUSED = [
    (0.1, "validation.share=0.2"),
    (0.1, "validation.group=user"),
    (0.1, "validation=0.2"),
    (Split(share=0.1, group="user"), "validation.group=none"),
    (Split(share=0.1, group="user"), "validation=0.1"),
    (None, "validation.share=0.1"),
    (None, "validation=0.1"),
    (None, "test=0.1"),
]


@pytest.mark.parametrize(("before", "word"), REFUSED)
def test_a_run_that_goes_on_keeps_what_it_held_out(before: Any, word: str) -> None:
    with pytest.raises(UsageError, match="cannot change in the middle of a run") as caught:
        check_changes(described(validation=before), [word])
    assert "rows that were trained on would" in (caught.value.note or "")
    after = apply_overrides(job(validation=before), [word])
    with pytest.raises(UsageError, match="cannot change"):
        check_job(described(validation=before), describe(after))


@pytest.mark.parametrize(
    ("before", "word"),
    [
        (0.1, "validation.share=0.1"),
        (0.1, "validation=0.1"),
        (Split(share=0.1), "validation=0.1"),
        (Split(share=0.1, group="user"), "validation.group=user"),
        (Split(share=0.1, stratify=True), "validation.stratify=true"),
    ],
)
def test_what_says_the_same_is_let_through(before: Any, word: str) -> None:
    check_changes(described(validation=before), [word])
    check_job(described(validation=before), describe(apply_overrides(job(validation=before), [word])))


def test_sources_of_their_own_may_change_when_a_run_goes_on() -> None:
    check_job(described(), described(validation=(X, Y), test=(X, Y)))
    check_job(described(validation=(X, Y)), described(validation=(X[:4], Y[:4])))
