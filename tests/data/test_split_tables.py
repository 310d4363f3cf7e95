"""Files are split by a column that no tensor needs to hold; what does not fit into memory is split alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch

from gdist.data import CSV, Arrow, Feed, MapStyle, Mix, Parquet, Split, Tensors
from gdist.data.split import divide
from gdist.errors import DataError
from tests.data.datasets import Squares

N = 6_000


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "cache"))


def table(n: int = N) -> pa.Table:
    rng = np.random.default_rng(0)
    user = rng.integers(0, 90, n)
    return pa.table(
        {
            "x": np.arange(n, dtype="float32"),
            "y": user % 3,
            "user": pa.array([f"user {each}" for each in user]),
            "part": pa.array(["train", "val", "test", "train"] * (n // 4)),
        }
    )


def parquet(folder: Path, **more: Any) -> Parquet:
    for i, name in enumerate(("a", "b")):
        pq.write_table(table().slice(i * N // 2, N // 2), folder / f"{name}.parquet", row_group_size=250)
    return Parquet(path=folder / "*.parquet", features="x", target="y", **more)


def seen(feed: Feed, size: int = 100) -> list[int]:
    """The rows of an epoch by their feature, which is their number."""
    spans = [(0, at, min(at + size, len(feed))) for at in range(0, len(feed), size)]
    feed.follow(iter(spans))
    return [int(x) for span in spans for x in feed.take(*span).features.reshape(-1)]


@pytest.mark.parametrize("memory", [1 << 30, 60_000])
@pytest.mark.parametrize("kind", ["group", "stratify", "column", "rows"])
def test_each_row_is_read_on_its_side_alone(kind: str, memory: int, tmp_path: Path) -> None:
    asked = {
        "group": Split(share=0.2, group="user"),
        "stratify": Split(share=0.2, stratify=True),
        "column": Split(column="part", validation="val", test="test"),
        "rows": Split(share=0.2, test=0.1),
    }[kind]
    rows = parquet(tmp_path, memory=memory).open()
    assert rows.follows == (memory < 100_000)
    parts = divide(rows, asked, seed=3)
    first, second = rows.divided()
    assert parts.validation is not None
    train = Feed(first, index=parts.train, seed=1, batch_size=100)
    held = [Feed(second, index=index, shuffle=False) for index in (parts.validation, parts.test) if index is not None]
    found = [seen(train), *map(seen, held)]
    assert Counter(row for side in found for row in side) == Counter(range(N))
    assert [len(side) for side in found] == [len(part) for part in parts[:3] if part is not None]
    whole = table()
    if kind == "group":
        users = [{whole.column("user")[row].as_py() for row in side} for side in found]
        assert not users[0] & users[1]
    if kind == "stratify":
        of_all, of_held = (Counter(whole.column("y").take(side).to_pylist()) for side in (list(range(N)), found[1]))
        assert all(abs(of_held[y] - 0.2 * of_all[y]) <= 1 for y in of_all)
    if kind == "column":
        assert {whole.column("part")[row].as_py() for row in found[2]} == {"test"}
    train.close()
    for feed in held:
        feed.close()


def test_bad_rows_that_are_left_out_move_no_other_row(tmp_path: Path) -> None:
    lines = [f"{i},{i % 7}" for i in range(700)]
    bad = [0, 5, 6, 333, 699]
    for i in bad:
        lines[i] = "no number,2,3"
    (tmp_path / "some.csv").write_text("\n".join(["x,user", *lines]) + "\n")
    rows = CSV(path=tmp_path / "some.csv", features="x", on_bad_rows="skip").open()
    parts = divide(rows, Split(share=0.3, group="user"), seed=0)
    assert parts.validation is not None
    held = {row % 7 for row in parts.validation.rows().tolist() if row not in bad}
    assert len(held) == 2
    assert not held & {row % 7 for row in parts.train.rows().tolist() if row not in bad}
    assert len(parts.train) + len(parts.validation) == 700


def test_a_target_of_several_columns_or_none_cannot_be_stratified(tmp_path: Path) -> None:
    parquet(tmp_path)
    for target, what in ((("x", "y"), "a target of several columns"), (None, "no target")):
        rows = Parquet(path=tmp_path / "*.parquet", features="x", target=target).open()
        with pytest.raises(DataError, match=f"the data has {what}"):
            divide(rows, Split(share=0.2, stratify=True), seed=0)


def test_the_same_rows_are_held_out_whatever_the_format_and_the_files(tmp_path: Path) -> None:
    of_parquet = divide(parquet(tmp_path).open(), Split(share=0.2, group="user"), seed=3)
    pyarrow.csv.write_csv(table(), tmp_path / "all.csv")
    of_csv = divide(CSV(path=tmp_path / "all.csv", features="x", target="y").open(), Split(share=0.2, group="user"), seed=3)
    assert of_csv.train == of_parquet.train


def test_a_split_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    rows = parquet(tmp_path).open()
    with pytest.raises(DataError, match="no column `usr`") as caught:
        divide(rows, Split(share=0.2, group="usr"), seed=0)
    assert "did you mean `user`?" in (caught.value.help or "")
    with pytest.raises(DataError, match="no row has 'valid' in column `part`") as caught:
        divide(rows, Split(column="part", validation="valid"), seed=0)
    assert caught.value.help == "its values: 'test', 'train', 'val'"
    assert caught.value.where == f"{tmp_path / 'a.parquet'} and 1 more"


@pytest.mark.parametrize("source", [Parquet, Arrow, CSV])
def test_a_file_written_anew_is_split_anew_though_its_size_and_index_are_the_same(source: type[Any], tmp_path: Path) -> None:
    path = tmp_path / f"a.{source.__name__.lower()}"
    users = np.repeat(np.arange(10, 60), 20)
    seen = set()
    for seed in range(3):
        user = np.random.default_rng(seed).permutation(users)
        table = pa.table({"x": np.zeros(1000), "user": user})
        if source is Parquet:
            pq.write_table(table, path)
        elif source is Arrow:
            pyarrow.feather.write_feather(table, str(path), compression="uncompressed")
        else:
            pyarrow.csv.write_csv(table, path)
        rows = source(path=path, features="x").open()
        parts = divide(rows, Split(share=0.2, group="user"), seed=0)
        assert parts.validation is not None
        assert not set(user[parts.train.rows()]) & set(user[parts.validation.rows()])
        seen.add((rows.fingerprint() if source is not CSV else "", path.stat().st_size))
    assert len(seen) == 1, "the files differ in more than their values: nothing was tried"


def test_what_nothing_tells_from_other_data_is_not_kept(tmp_path: Path) -> None:
    values = torch.arange(8)
    assert MapStyle(dataset=Squares(5)).open().content_key() is None
    assert Tensors(features=values).open().content_key() != Tensors(features=values + 1).open().content_key() is not None
    both = {"a": Tensors(features=values), "b": Tensors(features=values)}
    assert Mix(sources=both, proportions={"a": 1, "b": 1}).open().content_key() is not None
    rows = parquet(tmp_path).open()
    assert rows.content_key() is not None
    for reader in rows.groups.readers:
        reader.file = replace(reader.file, version="")  # as of a web server that tells none
    assert rows.content_key() is None
    divide(rows, Split(share=0.2, group="user"), seed=0)
    assert not (tmp_path / "cache").exists()
