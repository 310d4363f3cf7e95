"""Splits: each row on one side, groups whole, classes in proportion, the same rows each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

from gdist.data import MapStyle, Split, Tensors
from gdist.data.source import Column, Rows
from gdist.data.split import Parts, divide, settle
from gdist.errors import DataError, JobError
from tests.data.datasets import Squares


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Columns(Rows):
    """Only columns, in chunks; counts how often one was read."""

    def __init__(self, n: int | None = None, /, **columns: Any) -> None:
        self.all, self.read = columns, Counter[str]()
        self.n = len(next(iter(columns.values()))) if n is None else n

    def __len__(self) -> int:
        return self.n

    def fingerprint(self) -> str:
        return str(hash(tuple(map(str, self.all.values()))))

    def content_key(self) -> str:
        return self.fingerprint()

    def take(self, rows: np.ndarray) -> Any:
        raise NotImplementedError

    def columns(self) -> dict[str, Column]:
        raise NotImplementedError

    def read_column(self, name: str) -> Iterator[pa.Array]:
        self.read[name] += 1
        values = pa.array(self.all[name])
        yield from (values.slice(first, 7) for first in range(0, len(values), 7))


def sides(parts: Parts) -> list[list[int]]:
    return [side.rows().tolist() if side is not None else [] for side in parts[:3]]


def split(rows: Rows, seed: int = 0, **fields: Any) -> list[list[int]]:
    return sides(divide(rows, Split(**fields), seed=seed))


def check_whole(found: list[list[int]], n: int) -> None:
    assert Counter(row for side in found for row in side) == Counter(range(n))


@pytest.mark.parametrize(("n", "share", "held"), [(2, 0.01, 1), (2, 0.99, 1), (10, 0.2, 2), (1797, 0.2, 359), (1000, 0.5, 500)])
def test_each_row_is_on_one_side(n: int, share: float, held: int) -> None:
    found = split(Columns(n), share=share, seed=3)
    check_whole(found, n)
    assert [len(side) for side in found] == [n - held, held, 0]


@pytest.mark.parametrize(("n", "validate", "test"), [(3, 0.1, 0.1), (10, 0.2, 0.1), (1797, 0.1, 0.25), (2**20 + 3, 0.3, 0.6)])
def test_test_rows_are_held_out_beside_the_same_validation_rows(n: int, validate: float, test: float) -> None:
    found = split(Columns(n), share=validate, test=test, seed=1)
    if n < 10_000:
        check_whole(found, n)
    assert [len(side) for side in found[1:]] == [max(round(n * validate), 1), max(round(n * test), 1)]
    assert found[1] == split(Columns(n), share=validate, seed=1)[1]


def test_the_split_is_the_same_each_time_and_another_for_another_seed() -> None:
    train, validation, _ = split(Columns(20), share=0.25)
    assert train == [0, 3, 4, 5, 6, 7, 8, 10, 11, 12, 14, 15, 16, 17, 18]
    assert validation == [1, 2, 9, 13, 19]
    assert split(Columns(20), share=0.25, seed=1)[1] != validation


def test_without_a_split_all_rows_train() -> None:
    parts = divide(Columns(20), None, seed=0)
    assert (len(parts.train), parts.validation, parts.test) == (20, None, None)


def test_fewer_rows_than_sides_are_refused() -> None:
    with pytest.raises(DataError, match="cannot split 1 row into training and validation"):
        split(Columns(1), share=0.5)
    with pytest.raises(DataError, match="cannot split 2 rows into training and validation and test"):
        split(Columns(2), share=0.5, test=0.1)


@pytest.mark.parametrize("kind", ["numbers", "text", "dates", "dictionary"])
@pytest.mark.parametrize("seed", range(5))
def test_one_group_never_straddles_and_the_share_of_the_rows_is_kept(kind: str, seed: int) -> None:
    n = 2_000
    codes = np.random.default_rng(seed).integers(0, 150, n)
    values: dict[str, Any] = {
        "numbers": codes * 1_000_003,
        "text": [f"user {code}" for code in codes],
        "dates": codes.astype("datetime64[D]"),
        "dictionary": pa.array([f"user {code}" for code in codes]).dictionary_encode(),
    }
    found = split(Columns(user=values[kind]), share=0.2, test=0.1, group="user", seed=seed)
    check_whole(found, n)
    of_side = [set(codes[side].tolist()) for side in found]
    assert not of_side[0] & of_side[1]
    assert not of_side[0] & of_side[2]
    assert not of_side[1] & of_side[2]
    largest = np.bincount(codes).max()
    assert abs(len(found[1]) - 0.2 * n) <= largest / 2 + 1
    assert abs(len(found[2]) - 0.1 * n) <= largest / 2 + 1
    theirs = next(GroupShuffleSplit(1, test_size=0.2, random_state=seed).split(codes, groups=codes))
    assert abs(len(found[1]) - len(theirs[1])) < 0.05 * n  # scikit-learn takes the share of the groups


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [2, 10, 300])
def test_stratified_classes_have_their_share_on_each_side(seed: int, classes: int) -> None:
    n = 5_000
    target = np.minimum(np.random.default_rng(seed).geometric(2 / (classes + 1), n) - 1, classes - 1)
    target = target[np.bincount(target)[target] > 1]
    n = len(target)
    found = split(Columns(target=target), share=0.2, test=0.1, stratify=True, seed=seed)
    check_whole(found, n)
    counts = np.bincount(target)
    for side, share in zip(found[1:], (0.2, 0.1), strict=True):
        assert len(side) == round(n * share)
        assert (np.abs(np.bincount(target[side], minlength=len(counts)) - share * counts) <= 1).all()
    _, theirs = next(StratifiedShuffleSplit(1, test_size=0.2, random_state=seed).split(target, target))
    mine = np.bincount(target[found[1]], minlength=len(counts))
    assert (np.abs(mine - np.bincount(target[theirs], minlength=len(counts))) <= 2).all()


def test_rows_of_a_class_are_chosen_at_random() -> None:
    target = np.arange(1_000) % 2
    found = [set(split(Columns(target=target), share=0.5, stratify="target", seed=seed)[1]) for seed in range(20)]
    often = Counter(row for side in found for row in side)
    assert len(often) == 1_000
    assert max(often.values()) < 20


def test_a_column_says_what_a_row_is_for() -> None:
    values = ["train", "val", "test", "train", "extra", "val"] * 5
    rows = Columns(split=values)
    found = split(rows, column="split", validation="val", test="test")
    assert found == [[i for i, v in enumerate(values) if v in kept] for kept in (("train", "extra"), ("val",), ("test",))]
    found = split(rows, column="split", train="train", validation=["val", "test"])
    assert found == [[i for i, v in enumerate(values) if v in kept] for kept in (("train",), ("val", "test"), ())]
    folds = Columns(fold=[i % 5 for i in range(30)])
    assert split(folds, column="fold", validation=0)[1] == list(range(0, 30, 5))
    days = Columns(day=np.arange(4).astype("datetime64[D]"))
    assert split(days, column="day", validation="1970-01-03")[1] == [2]
    assert split(Columns(held=[False, True, False]), column="held", validation=True)[1] == [1]


def test_a_column_is_read_once_and_what_it_says_is_kept(cache: Path) -> None:
    rows = Columns(user=list(range(40)) * 10)
    found = split(rows, share=0.25, group="user")
    assert split(rows, share=0.25, group="user") == found
    assert rows.read == {"user": 1}
    assert split(rows, share=0.25, group="user", seed=2) != found
    assert rows.read == {"user": 2}
    assert len([path for path in cache.iterdir() if path.suffix == ".cached"]) == 2


def test_tensors_are_split_by_their_target_or_an_extra_column() -> None:
    source = Tensors(features=np.ones((40, 2)), target=np.arange(40) % 4, extra={"user": np.arange(40) // 8})
    assert Counter(i % 4 for i in split(source.open(), share=0.2, stratify=True)[1]) == {0: 2, 1: 2, 2: 2, 3: 2}
    assert {i // 8 for i in split(source.open(), share=0.2, group="user")[1]} in [{group} for group in range(5)]
    with pytest.raises(DataError, match="no column `users`") as caught:
        split(source.open(), share=0.2, group="users")
    assert caught.value.help == "did you mean `user`?"
    with pytest.raises(DataError, match=r"`features` has shape \[40, 2\]"):
        split(source.open(), share=0.2, group="features")


WRONG = [
    ({"user": [3, 3, 3]}, {"share": 0.5, "group": "user"}, "column `user` has one value, 3: all rows are one group"),
    ({"user": [3, 3, 4]}, {"share": 0.3, "test": 0.3, "group": "user"}, "2 groups cannot be on 3 sides"),
    ({"user": [3, None, None]}, {"share": 0.3, "group": "user"}, "no value in 2 of 3 rows"),
    ({"user": [[1], [2]]}, {"share": 0.3, "group": "user"}, "holds list<item: int64>"),
    ({"y": [0.5, 0.25, 0.1]}, {"share": 0.3, "stratify": "y"}, "3 values in 3 rows: these are no classes"),
    ({"s": ["a", "b"]}, {"column": "s", "validation": "val"}, "no row has 'val' in column `s`.* `validation`"),
    ({"s": ["a", "b"]}, {"column": "s", "validation": "a", "test": "a"}, "'a' of column `s` is named for `validation` and for"),
    ({"s": ["a", "a"]}, {"column": "s", "validation": "a"}, "no row is left to train on"),
]


@pytest.mark.parametrize(("columns", "fields", "what"), WRONG)
def test_what_cannot_be_split_is_named(columns: dict[str, Any], fields: dict[str, Any], what: str) -> None:
    with pytest.raises(DataError, match=what):
        split(Columns(**columns), **fields)


def test_a_class_of_one_row_stays_in_training_and_the_user_is_told() -> None:
    rows = Columns(y=["a"] * 10 + ["b"] + ["c"] * 10)
    parts = divide(rows, Split(share=0.5, stratify="y"), seed=0)
    assert 10 in sides(parts)[0]
    assert parts.said == ("1 class of `y` has a single row, which stays in training: 'b'",)
    assert divide(rows, Split(share=0.5, stratify="y"), seed=0).said == parts.said  # from the cache too


def test_samples_without_columns_are_split_by_rows_only() -> None:
    rows = MapStyle(dataset=Squares()).open()
    assert len(split(rows, share=0.2)[1]) == 4
    with pytest.raises(DataError, match="cannot be split by `user`") as caught:
        split(rows, share=0.2, group="user")
    assert "validation=0.1" in (caught.value.help or "")


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({}, "says not what is held out"),
        ({"share": 1.5}, "`share` of Split must be a number > 0 and < 1"),
        ({"share": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"share": 0.5, "test": 2}, "`test` must be a share between 0 and 1, not 2"),
        ({"share": 0.5, "test": "test"}, "`test` must be a share between 0 and 1, not 'test'"),
        ({"share": 0.5, "validation": "val"}, "`validation` cannot act without `column`"),
        ({"share": 0.5, "column": "split"}, "`share` cannot act with `column`"),
        ({"column": "split"}, "which rows of `split` validate"),
        ({"share": 0.5, "group": "a", "stratify": "b"}, "cannot both be kept"),
        ({"shar": 0.5}, "unknown field `shar`"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any], what: str) -> None:
    with pytest.raises(JobError, match=what):
        Split(**fields)


def test_shares_of_a_job_are_a_split() -> None:
    assert settle(None, None) is None
    assert settle(0.1, None) == Split(share=0.1)
    assert settle(None, 0.2) == Split(test=0.2)
    assert settle(Split(share=0.1, group="user"), 0.2) == Split(share=0.1, test=0.2, group="user")
    assert settle("a source", "another") is None
    with pytest.raises(JobError, match="two names for one thing"):
        settle(Split(share=0.1, test=0.1), 0.2)
    with pytest.raises(JobError, match="is a share, but column `split` says"):
        settle(Split(column="split", validation="val"), 0.2)


def test_a_split_is_described_by_what_is_set() -> None:
    assert Split(share=0.1, group="user").describe() == {"kind": "Split", "share": 0.1, "group": "user"}
    described = Split(column="split", validation=["a", "b"], test=3).describe()
    assert described == {"kind": "Split", "test": 3, "column": "split", "validation": ["a", "b"]}
