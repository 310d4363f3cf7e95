"""Hugging Face datasets are read as their own library reads them, but by columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from gdist.data import HuggingFace, MapStyle, Split, as_source
from gdist.data.formats.hugging_face import HuggingFaceReader
from gdist.data.split import divide
from gdist.errors import DataError, JobError
from gdist.job import Job

N = 1_000


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def table(n: int = N, **more: Any) -> datasets.Dataset:
    rng = np.random.default_rng(0)
    columns = {"x": rng.random((n, 3), dtype=np.float32), "y": rng.integers(0, 99, n), "label": rng.integers(0, 3, n), **more}
    features = datasets.Features(
        {
            "x": datasets.Sequence(datasets.Value("float32"), length=3),
            "y": datasets.Value("int64"),
            "label": datasets.ClassLabel(names=["a", "b", "c"]),
        }
    )
    return datasets.Dataset.from_dict(columns, features=features)


def on_disk(dataset: datasets.Dataset, folder: Path) -> datasets.Dataset:
    dataset.save_to_disk(folder / "saved")
    return datasets.load_from_disk(folder / "saved")


VARIANTS = {
    "whole": lambda dataset: dataset,
    "shuffled": lambda dataset: dataset.shuffle(seed=1),
    "selected": lambda dataset: dataset.select(range(100, 700)),
    "picked": lambda dataset: dataset.select([5, 3, 3, 900]),
    "filtered": lambda dataset: dataset.filter(lambda row: row["y"] > 50, load_from_cache_file=False),
    "concatenated": lambda dataset: datasets.concatenate_datasets([dataset, dataset.select(range(10))]),
    "fewer columns": lambda dataset: dataset.select_columns(["label", "x"]),
    "renamed": lambda dataset: dataset.rename_column("y", "z"),
}


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("stored", [False, True])
def test_rows_are_those_that_the_dataset_itself_gives(variant: str, stored: bool, tmp_path: Path) -> None:
    dataset = VARIANTS[variant](on_disk(table(), tmp_path) if stored else table())
    rows = HuggingFace(dataset=dataset, features="x", target="label").open()
    assert len(rows) == len(dataset)
    chosen = np.random.default_rng(0).integers(0, len(dataset), 50)
    batch = rows.take(chosen)
    theirs = dataset.with_format("numpy")[chosen.tolist()]
    assert batch.features.dtype == torch.float32
    assert (batch.features.numpy() == theirs["x"]).all()
    assert (batch.target.numpy() == theirs["label"]).all()
    assert batch.target.dtype == torch.int64


@pytest.mark.parametrize("shuffled", [False, True])
def test_it_is_read_in_stretches_that_together_are_the_whole(shuffled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdist.data.formats.hugging_face._GROUP_BYTES", 2_048)
    dataset = table().shuffle(seed=2) if shuffled else table()
    reader = HuggingFaceReader(dataset)
    assert len(reader.groups) > 10
    found = [reader.read(group, ["label", "y"]).table for group in range(len(reader.groups))]
    assert [value for part in found for value in part.column("y").to_pylist()] == dataset["y"][:]
    assert found[0].column_names == ["label", "y"]


@pytest.mark.parametrize("shape", [(2, 3), (4, 1, 2)])
def test_arrays_have_their_shape(shape: tuple[int, ...]) -> None:
    kind = {2: datasets.Array2D, 3: datasets.Array3D}[len(shape)]
    values = np.arange(5 * np.prod(shape)).reshape(5, *shape)
    dataset = datasets.Dataset.from_dict(
        {"m": values.tolist()}, features=datasets.Features({"m": kind(shape=shape, dtype="int32")})
    )
    for each, wanted in ((dataset, values), (dataset.select([4, 1]), values[[4, 1]]), (dataset.select([1, 2]), values[1:3])):
        batch = HuggingFace(dataset=each, features="m").open().take(np.arange(len(each)))
        assert (batch.features.numpy() == wanted).all()


def images(n: int = 4) -> tuple[np.ndarray, datasets.Dataset]:
    pixels = np.random.default_rng(1).integers(0, 256, (n, 5, 7, 3), dtype=np.uint8)
    cells = []
    for each in pixels:
        file = BytesIO()
        Pillow.fromarray(each).save(file, "png")
        cells.append({"bytes": file.getvalue(), "path": None})
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=2)})
    return pixels, datasets.Dataset.from_dict({"image": cells, "label": [i % 2 for i in range(n)]}, features=features)


def test_images_are_decoded_to_the_shape_asked_for(tmp_path: Path) -> None:
    pixels, dataset = images()
    source = HuggingFace(dataset=dataset, features="image", target="label", shape=(3, 5, 7), dtypes={"features": "uint8"})
    batch = source.open().take(np.array([2, 0]))
    assert (batch.features.numpy() == pixels[[2, 0]].transpose(0, 3, 1, 2)).all()
    Pillow.fromarray(pixels[3]).save(tmp_path / "last.png")
    cells = [{"bytes": None, "path": str(tmp_path / "last.png")}]
    by_path = datasets.Dataset.from_dict({"image": cells}, features=datasets.Features({"image": datasets.Image()}))
    batch = (
        HuggingFace(dataset=by_path, features="image", shape=(3, 5, 7), dtypes={"features": "uint8"}).open().take(np.array([0]))
    )
    assert (batch.features.numpy() == pixels[3:].transpose(0, 3, 1, 2)).all()
    with pytest.raises(DataError, match="column `image` holds images, whose shape must be said") as caught:
        as_source(dataset)
    assert "shape=[channels, height, width]" in (caught.value.help or "")


def test_a_dataset_alone_means_its_features_and_its_target() -> None:
    numbers = table().remove_columns("x")
    source = as_source(numbers)
    assert isinstance(source, HuggingFace)
    assert (source.features, source.target) == (("y",), "label")
    named = table().rename_columns({"x": "features", "label": "target"})
    source = as_source(named)
    assert isinstance(source, HuggingFace)
    assert (source.features, source.target) == (("features",), "target")
    assert source.open().take(np.array([0])).features.shape == (1, 3)
    made = Job(model=torch.nn.Identity, loss="mse", data=named, validation=named)
    assert isinstance(made.data, HuggingFace)
    assert isinstance(made.validation, HuggingFace)


def test_columns_that_cannot_lie_side_by_side_keep_their_names() -> None:
    source = as_source(table())
    assert isinstance(source, MapStyle)
    batch = source.open().take(np.array([0, 1]))
    assert sorted(batch.columns) == ["label", "x", "y"]
    assert isinstance(as_source(table().with_format("numpy")), MapStyle)  # a format of the user's own


def test_several_datasets_and_endless_ones_are_refused() -> None:
    splits = datasets.DatasetDict({"train": table(), "valid": table(), "test": table()})
    with pytest.raises(DataError, match="a dict of the datasets `train`, `valid`, `test`") as caught:
        as_source(splits)
    assert caught.value.help == "data=splits['train'], validation=splits['valid'], test=splits['test']"
    with pytest.raises(DataError, match="an iterable dataset"):
        as_source(table().to_iterable_dataset())
    with pytest.raises(JobError, match=r"`dataset` of HuggingFace must be a datasets\.Dataset"):
        HuggingFace(dataset=[1, 2])
    with pytest.raises(JobError, match="must be a"):
        HuggingFace(dataset=splits)


def test_missing_columns_are_named_with_the_nearest(quiet: None) -> None:
    with pytest.raises(DataError, match="no column `lable`") as caught:
        HuggingFace(dataset=table(), features="x", target="lable").open()
    assert "`label`" in (caught.value.help or "")


def test_the_fingerprint_tells_datasets_apart_and_stands_in_the_description() -> None:
    prints = {HuggingFace(dataset=each).open().fingerprint() for each in (table(), table(N - 1), table().shuffle(seed=1))}
    assert len(prints) == 3
    assert HuggingFace(dataset=table()).open().fingerprint() in prints
    described = HuggingFace(dataset=table(), target="label").describe()
    assert described["dataset"]["rows"] == N
    assert described == HuggingFace(dataset=table(), target="label").describe()


def test_it_is_split_by_its_columns() -> None:
    rows = HuggingFace(dataset=table(), features="x", target="label").open()
    parts = divide(rows, Split(share=0.1, stratify=True), seed=0)
    assert parts.validation is not None
    labels = np.array(table()["label"][:])
    of_all, held = Counter(labels.tolist()), Counter(labels[parts.validation.rows()].tolist())
    assert all(abs(held[label] - of_all[label] / 10) <= 1 for label in of_all)
    groups = divide(rows, Split(share=0.1, group="y"), seed=0)
    assert groups.validation is not None
    y = np.array(table()["y"][:])
    assert not set(y[groups.validation.rows()].tolist()) & set(y[groups.train.rows()].tolist())
