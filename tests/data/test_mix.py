"""Mixed sources: exact proportions over every short stretch, each source's rows once before any comes twice, any position."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gdist.data import CSV, Feed, MapStyle, Mix, Parquet, Split, Tensors
from gdist.data.identity import total
from gdist.data.index import Index
from gdist.data.mixing import arrange, period
from gdist.data.split import divide
from gdist.errors import DataError, JobError
from tests.data.datasets import Squares


def numbers(first: int, n: int, **more: Any) -> Tensors:
    """Rows whose feature is their number, from ``first``."""
    values = torch.arange(first, first + n, dtype=torch.float32)
    return Tensors(features=values[:, None], target=values.long(), **more)


def mix(sizes: list[int], shares: list[float], **more: Any) -> Mix:
    """Sources ``a``, ``b`` ...: rows of ``a`` from 0, of ``b`` from 10,000, and so on."""
    names = "abcdefgh"[: len(sizes)]
    sources = {name: numbers(10_000 * i, n) for i, (name, n) in enumerate(zip(names, sizes, strict=True))}
    return Mix(sources=sources, proportions=dict(zip(names, shares, strict=True)), **more)


@pytest.mark.parametrize(
    ("shares", "counts"),
    [
        ([0.7, 0.3], [7, 3]),
        ([1, 1], [1, 1]),
        ([2, 4, 6], [1, 2, 3]),
        ([0.5, 0.25, 0.125, 0.125], [4, 2, 1, 1]),
        ([1 / 3, 2 / 3], [1, 2]),
    ],
)
def test_a_period_has_the_proportions_as_whole_numbers(shares: list[float], counts: list[int]) -> None:
    assert period(shares) == counts


def test_proportions_that_are_no_simple_fractions_are_kept_closely() -> None:
    shares = [np.pi / 10, np.e / 10, 1e-7]
    counts = period(shares)
    assert counts[2] == 1
    assert np.allclose(np.array(counts) / sum(counts), np.array(shares) / sum(shares), atol=2e-5)


@pytest.mark.parametrize("counts", [[7, 3], [1, 1], [1, 99], [3, 5, 7], [1, 1, 1, 97], [13, 8, 5, 3, 2, 1], [500, 499, 1, 24]])
def test_every_stretch_has_each_source_s_share_to_within_two_rows(counts: list[int]) -> None:
    pattern = arrange(counts)
    length = sum(counts)
    assert [int((pattern == i).sum()) for i in range(len(counts))] == counts
    twice = np.concatenate([pattern, pattern])
    for i, count in enumerate(counts):
        before = np.concatenate([[0], np.cumsum(twice == i)])
        ideal = np.arange(2 * length + 1) * count / length
        assert np.abs(before - ideal).max() < 1  # Tijdeman's bound for prefixes: below 1, so below 2 for any stretch


@pytest.mark.parametrize(("sizes", "shares"), [([100, 50], [0.7, 0.3]), ([7, 300, 40], [1, 2, 3]), ([1, 1], [0.9, 0.1])])
def test_each_source_is_gone_through_once_before_any_row_comes_again(sizes: list[int], shares: list[float]) -> None:
    feed = Feed(mix(sizes, shares).open(), seed=3)
    rows = np.concatenate([feed.rows_at(epoch, 0, len(feed)) for epoch in range(5)])
    bounds = np.cumsum([0, *sizes])
    for i, size in enumerate(sizes):
        own = rows[(rows >= bounds[i]) & (rows < bounds[i + 1])].tolist()
        passes = (
            list(itertools.batched(own, size))
            if hasattr(itertools, "batched")
            else [own[at : at + size] for at in range(0, len(own), size)]
        )
        for each in passes:
            assert max(Counter(each).values()) == 1
        whole = [tuple(each) for each in passes if len(each) == size]
        assert size < 5 or len(set(whole)) == len(whole)  # in another order each time
        ideal = len(rows) * shares[i] / sum(shares)
        assert abs(len(own) - ideal) < 2


def test_any_position_of_any_epoch_is_the_same_without_history() -> None:
    source = mix([100, 90, 80], [5, 3, 2])
    whole = [Feed(source.open(), seed=1).rows_at(epoch, 0, 200) for epoch in range(3)]
    for epoch, start, stop in [(2, 17, 60), (0, 0, 1), (1, 199, 200), (1, 5, 5), (2, 0, 200)]:
        assert Feed(source.open(), seed=1).rows_at(epoch, start, stop).tolist() == whole[epoch][start:stop].tolist()
    assert whole[0].tolist() != whole[1].tolist()
    assert Feed(source.open(), seed=2).rows_at(0, 0, 200).tolist() != whole[0].tolist()


def test_any_cut_into_micro_batches_gives_the_same_samples() -> None:
    source = mix([100, 50], [0.7, 0.3])
    feed = Feed(source.open(), seed=5)
    whole = feed.take(0, 0, len(feed))
    assert (whole.features[:, 0] == whole.target).all()
    for size in (1, 7, 32):
        pieces = [feed.take(0, at, min(at + size, len(feed))) for at in range(0, len(feed), size)]
        assert torch.cat([piece.features for piece in pieces]).tolist() == whole.features.tolist()
        assert sum(piece.stamp for piece in pieces) % 2**64 == whole.stamp


@pytest.mark.parametrize(
    ("sizes", "shares", "named", "length"),
    [
        ([70, 3_000], [0.7, 0.3], None, 100),
        ([700, 30], [0.7, 0.3], None, 100),
        ([700, 30], [0.7, 0.3], "a", 1_000),
        ([700, 30], [0.7, 0.3], "b", 100),
    ],
)
def test_an_epoch_is_one_pass_of_the_first_or_the_named_source(
    sizes: list[int], shares: list[float], named: str | None, length: int
) -> None:
    feed = Feed(mix(sizes, shares, epoch=named).open(), seed=0)
    assert len(feed) == length


def test_rows_held_out_are_never_trained_on_and_validate_once_each() -> None:
    rows = mix([100, 50], [0.7, 0.3]).open()
    parts = divide(rows, Split(share=0.2), seed=0)
    assert parts.validation is not None
    train = Feed(rows, index=parts.train, seed=0)
    trained = {int(row) for epoch in range(4) for row in train.rows_at(epoch, 0, len(train))}
    assert trained == set(parts.train.rows().tolist())
    validation = Feed(rows, index=parts.validation, shuffle=False)
    assert validation.rows_at(0, 0, len(validation)).tolist() == parts.validation.rows().tolist()


def test_stamps_name_source_and_row() -> None:
    rows = mix([100, 100], [1, 1]).open()
    identities = rows.identities(np.arange(200))
    assert len(set(identities.tolist())) == 200
    some = np.array([150, 3, 3, 99, 100, 7])
    assert rows.take(some).stamp == total(identities[some])
    assert rows.take(some).target.tolist() == [10_050, 3, 3, 99, 10_000, 7]
    assert rows.place(150) == "b: row 50"
    assert rows.take(np.empty(0, dtype=np.int64)).features.shape == (0, 1)


def test_slow_and_ready_sources_mix() -> None:
    slow = MapStyle(dataset=Squares(20))
    ready = Tensors(features=torch.full((30, 2), -1.0), target=torch.full((30,), -1))
    feed = Feed(Mix(sources={"slow": slow, "ready": ready}, proportions={"slow": 1, "ready": 2}).open(), seed=0)
    assert len(feed) == 45
    seen = [feed.take(0, at, at + 15) for at in range(0, 45, 15)]
    assert all((batch.target == -1).sum() == 10 for batch in seen)
    feed.close()


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_sources_of_one_width_mix_whoever_casts_them(tmp_path: Path, order: str) -> None:
    """Files are read as the run's floats at once; a dataset's samples are cast in the batch."""
    values = np.random.default_rng(0).normal(size=(40, 2))
    files = {"x0": values[:20, 0], "x1": values[:20, 1], "y": np.arange(20)}
    pq.write_table(pa.table(files), tmp_path / "a.parquet")
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(values[20:]), torch.arange(20))
    named = {"a": Parquet(path=tmp_path / "a.parquet", target="y"), "b": MapStyle(dataset=dataset)}
    rows = Mix(sources={name: named[name] for name in order}, proportions={"a": 1, "b": 1}).open()
    assert rows.columns()["features"].dtype == torch.float64
    feed = Feed(rows, seed=0, float_dtype=torch.float32)
    assert feed.rows.columns()["features"].dtype == torch.float32
    assert feed.rows.divided()[1].columns() == feed.rows.columns()
    features = feed.take(0, 0, 40).features
    assert features.dtype == torch.float32
    assert sorted(features[:, 0].tolist()) == sorted(values[:, 0].astype(np.float32).tolist())
    feed.close()


def test_a_mix_says_which_rows_of_which_source_were_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,0\n2,1,3\n4,1\n")
    files = CSV(path=tmp_path / "a.csv", features="x", target="y", on_bad_rows="skip")
    clean = Tensors(features=torch.ones(3, 1), target=torch.ones(3, dtype=torch.int64))
    rows = Mix(sources={"a": files, "b": clean}, proportions={"a": 1, "b": 1}).open().cast(torch.float32)
    assert rows.take(np.arange(6)).bad == 1
    (bad,) = rows.bad_rows
    assert bad.startswith("a: ")
    assert "a.csv" in bad


def write(path: Path, first: int, n: int, group: int) -> Parquet:
    values = np.arange(first, first + n)
    pq.write_table(pa.table({"x": values.astype("float32"), "y": values}), path, row_group_size=group)
    return Parquet(path=path, features="x", target="y", memory=200_000)


def test_files_larger_than_memory_are_read_ahead_each_by_itself(tmp_path: Path) -> None:
    sources: dict[str, Any] = {
        "big": write(tmp_path / "big.parquet", 0, 40_000, 1_000),
        "small": write(tmp_path / "small.parquet", 100_000, 500, 100),
        "other": write(tmp_path / "other.parquet", 200_000, 20_000, 500),
    }
    rows = Mix(sources=sources, proportions={"big": 4, "small": 1, "other": 3}).open()
    assert rows.follows
    feed = Feed(rows, seed=1, batch_size=64)
    assert len(feed) == 500 * 8
    spans = [(epoch, at, min(at + 64, len(feed))) for epoch in range(2) for at in range(0, len(feed), 64)]
    feed.follow(iter(spans))
    values = {0: 0, 1: 100_000, 2: 200_000}
    bounds = np.array([0, 40_000, 40_500, 60_500])
    for span in spans:
        batch = feed.take(*span)
        raw = feed.rows_at(*span)
        source = bounds.searchsorted(raw, side="right") - 1
        expected = raw - bounds[source] + np.array([values[int(i)] for i in source])
        assert batch.target.tolist() == expected.tolist()
        assert batch.stamp == total(rows.identities(raw))
    feed.close()


def test_a_position_late_in_a_long_run_costs_no_more() -> None:
    rows = mix([1_000, 3_000], [0.123, 0.877]).open()
    order = rows.order(Index.all(len(rows)), seed=0, shuffle=True, batch_size=64)
    late = order.rows(10**9, 0, 64)
    assert len(late) == 64
    assert ((late >= 0) & (late < 4_000)).all()


WRONG: list[tuple[dict[str, Any], str, str | None]] = [
    ({"sources": {"a": numbers(0, 3)}, "proportions": {"a": 1}}, "must be a dict of two or more sources", None),
    (
        {"sources": {"web": numbers(0, 3), "books": numbers(0, 3)}, "proportions": {"web": 1, "boks": 1}},
        "`boks` is no source of this mix: it has 'web', 'books'",
        "did you mean 'books'?",
    ),
    (
        {"sources": {"a": numbers(0, 3), "b": numbers(0, 3)}, "proportions": {"a": 1}},
        "source 'b' has no proportion",
        "'b': 0.5",
    ),
    (
        {"sources": {"a": numbers(0, 3), "b": numbers(0, 3)}, "proportions": {"a": 1, "b": 0}},
        "the proportion of 'b' must be above 0, not 0",
        "leave the source out",
    ),
    (
        {"sources": {"a": numbers(0, 3), "b": numbers(0, 3)}, "proportions": {"a": 1, "b": 1}, "epoch": "c"},
        "`c` is no source of this mix",
        None,
    ),
]


@pytest.mark.parametrize(("fields", "what", "help"), WRONG)
def test_wrong_mixes_are_refused(fields: dict[str, Any], what: str, help: str | None) -> None:
    with pytest.raises(JobError, match=what) as caught:
        Mix(**fields)
    assert help is None or help in (caught.value.help or "")


def test_sources_that_give_other_tensors_are_refused() -> None:
    others = {
        r"`features` is float32\[2\] in 'b', but float32\[1\] in 'a'": Tensors(
            features=np.ones((3, 2), "float32"), target=np.ones(3, int)
        ),
        r"`target` is float64\[\] in 'b', but int64\[\] in 'a'": Tensors(
            features=np.ones((3, 1), "float32"), target=np.ones(3)
        ),
        r"`target` is not there in 'b', but int64\[\] in 'a'": Tensors(features=np.ones((3, 1), "float32")),
        r"`w` is float64\[\] in 'b', but not there in 'a'": numbers(0, 3, extra={"w": np.ones(3)}),
    }
    for what, other in others.items():
        with pytest.raises(DataError, match=what):
            Mix(sources={"a": numbers(0, 3), "b": other}, proportions={"a": 1, "b": 1}).open()


def test_a_source_of_which_nothing_is_left_is_named() -> None:
    rows = mix([5, 5], [1, 1]).open()
    index = Index.of_mask(np.packbits(np.arange(10) < 5, bitorder="little"), 10)
    with pytest.raises(DataError, match="no row of source 'b' is left to train on"):
        rows.order(index, seed=0, shuffle=True, batch_size=2)


def test_a_mix_is_described_by_its_sources() -> None:
    described = mix([5, 6], [1, 2]).describe()
    assert described["kind"] == "Mix"
    assert described["sources"]["b"]["kind"] == "Tensors"
    assert described["proportions"] == {"a": 1, "b": 2}
    assert mix([5, 6], [1, 2]).open().fingerprint() != mix([5, 6], [2, 1]).open().fingerprint()
