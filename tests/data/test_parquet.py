"""Parquet to tensors: the values, the shapes, only the columns in use, and an error with a place for all that is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gdist.data import Parquet, Rows
from gdist.errors import DataError, JobError


def write(path: Path, *, row_group_size: int = 4, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size, write_page_checksum=True)
    return path


def everything(rows: Rows) -> Any:
    return rows.take(np.arange(len(rows)))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ten rows in three row groups: pixels p0 to p2, a label, a weight, and text that nobody uses."""
    return write(
        tmp_path / "table.parquet",
        p0=np.arange(10, dtype="float32"),
        p1=np.arange(10, dtype="float32") + 100,
        p2=np.arange(10, dtype="int16") + 200,
        label=np.arange(10, dtype="int8") % 3,
        weight=np.linspace(0, 1, 10),
        text=[f"row {i}" for i in range(10)],
    )


def test_columns_become_row_major_tensors(table: Path) -> None:
    batch = everything(Parquet(path=table, features="p*", target="label", extra={"weight": "weight"}).open())
    assert batch.features.tolist() == [[i, i + 100, i + 200] for i in range(10)]
    assert batch.features.dtype == torch.float32
    assert batch.target.tolist() == [i % 3 for i in range(10)]
    assert batch.target.dtype == torch.int64
    assert batch["weight"].dtype == torch.float64
    assert batch["weight"].shape == (10,)


def test_features_are_named_in_the_order_given(table: Path) -> None:
    batch = everything(Parquet(path=table, features=["weight", "p[12]", "p1"]).open())
    assert batch.features[3].tolist() == pytest.approx([3 / 9, 103, 203])
    assert "target" not in batch


def test_features_that_are_not_named_are_all_other_columns(table: Path) -> None:
    with pytest.raises(DataError, match="column `text` holds string"):
        Parquet(path=table, target="label", extra={"weight": "weight"}).open()
    rows = Parquet(path=table, target="label", extra={"other": ["text", "weight"]})
    with pytest.raises(DataError, match="column `text`"):
        rows.open()


def test_a_column_alone_has_no_second_dimension_but_for_features(table: Path) -> None:
    assert everything(Parquet(path=table, features="p0", target="p1").open()).features.shape == (10, 1)
    assert everything(Parquet(path=table, features="p0", target="p1").open()).target.shape == (10,)
    assert everything(Parquet(path=table, features="p0", target=["p1"]).open()).target.shape == (10, 1)
    assert everything(Parquet(path=table, features="p0", target=["p1", "p2"]).open()).target.shape == (10, 2)


def test_fixed_size_lists_become_shaped_tensors(tmp_path: Path) -> None:
    values = np.arange(60, dtype="float32")
    flat = pa.FixedSizeListArray.from_arrays(values, 6)
    nested = pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(values, 3), 2)
    path = write(tmp_path / "lists.parquet", flat=flat, nested=nested, one=np.arange(10))
    expected = torch.arange(60.0).view(10, 6)
    assert torch.equal(everything(Parquet(path=path, features="flat").open()).features, expected)
    assert torch.equal(everything(Parquet(path=path, features="nested").open()).features, expected.view(10, 2, 3))
    assert torch.equal(
        everything(Parquet(path=path, features="flat", shape=[1, 3, 2]).open()).features, expected.view(10, 1, 3, 2)
    )
    assert everything(Parquet(path=path, features=["one", "flat"]).open()).features.shape == (10, 7)
    with pytest.raises(DataError, match=r"`shape` \[2, 4\] has 8 values a sample, the columns of `features` have 6"):
        Parquet(path=path, features="flat", shape=(2, 4)).open()


@pytest.mark.parametrize(
    "kind", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double", "bool"]
)
def test_every_numeric_type_is_read(tmp_path: Path, kind: str) -> None:
    column = pa.array([0, 1, 1], pa.int64()).cast(pa.type_for_alias(kind))
    batch = everything(Parquet(path=write(tmp_path / "x.parquet", x=column, y=column), features="x", target="y").open())
    assert batch.features.view(-1).tolist() == [0, 1, 1]
    assert batch.features.dtype == (torch.float64 if kind == "double" else torch.float32)
    wanted = {"float": torch.float32, "double": torch.float64, "bool": torch.bool}
    assert batch.target.dtype == wanted.get(kind, torch.int64)


def test_types_can_be_set_but_no_number_may_change(table: Path) -> None:
    rows = Parquet(path=table, features="p*", target="label", dtypes={"features": "uint8", "target": "int32"}).open()
    assert rows.columns() == {"features": ((3,), torch.uint8), "target": ((), torch.int32)}
    with pytest.raises(DataError, match=r"values of `target` \(float64\) do not fit int64") as caught:
        everything(Parquet(path=table, features="p0", target="weight", dtypes={"target": "int64"}).open())
    assert "row group 0" in (caught.value.where or "")
    with pytest.raises(JobError, match="dtypes"):
        Parquet(path=table, dtypes={"features": "float8"})  # type: ignore[dict-item]
    with pytest.raises(DataError, match="`dtypes` names `tarhet`"):
        Parquet(path=table, features="p0", dtypes={"tarhet": "int64"}).open()


def test_what_fills_a_gap_must_fit_the_tensor(tmp_path: Path) -> None:
    def filled(dtype: str, value: float) -> Any:
        data = Parquet(path=path, features="x", fill={"x": value}, dtypes={"features": dtype})  # type: ignore[dict-item]
        return everything(data.open()).features.view(-1).tolist()

    path = write(tmp_path / "x.parquet", x=pa.array([1, None, 3], pa.uint8()))
    assert filled("float32", -1) == [1, -1, 3]
    assert filled("int16", 300) == [1, 300, 3]
    assert filled("float64", 1e300) == [1, 1e300, 3]
    with pytest.raises(DataError, match=r"values of `features` \(int16\) do not fit uint8"):
        filled("uint8", -1)
    with pytest.raises(DataError, match=r"column `x` is filled with 1e\+300, which float32 cannot hold"):
        filled("float32", 1e300)
    with pytest.raises(DataError, match=r"column `x` is filled with 70000, which float16 cannot hold"):
        filled("float16", 70_000)


def test_a_folder_a_glob_and_a_list_are_read_in_one_order(tmp_path: Path) -> None:
    b = write(tmp_path / "data" / "b.parquet", x=[3.0, 4.0])
    a = write(tmp_path / "data" / "a.parquet", x=[1.0, 2.0])
    deep = write(tmp_path / "data" / "more" / "c.parquet", x=[5.0])
    write(tmp_path / "data" / "_temporary" / "0.parquet", x=[9.0])
    (tmp_path / "data" / "_SUCCESS").touch()
    (tmp_path / "data" / "readme.txt").write_text("not data")

    def read(path: Any) -> list[float]:
        values: list[float] = everything(Parquet(path=path).open()).features.view(-1).tolist()
        return values

    assert read(tmp_path / "data") == [1, 2, 3, 4, 5]
    assert read(str(tmp_path / "data" / "*.parquet")) == [1, 2, 3, 4]
    assert read(str(tmp_path / "**" / "[bc].parquet")) == [3, 4, 5]
    assert read([b, a]) == [3, 4, 1, 2]
    assert read([deep, str(tmp_path / "data" / "a*")]) == [5, 1, 2]
    with pytest.raises(DataError, match="named twice"):
        read([a, tmp_path / "data"])


def test_empty_files_and_row_groups_are_fine_but_empty_data_is_not(tmp_path: Path) -> None:
    empty = write(tmp_path / "a.parquet", x=pa.array([], pa.float64()))
    with pytest.raises(DataError, match="the data is empty"):
        Parquet(path=empty).open()
    write(tmp_path / "b.parquet", x=[1.0])
    assert len(Parquet(path=tmp_path).open()) == 1


def test_a_missing_column_is_named_with_the_nearest(table: Path) -> None:
    with pytest.raises(DataError, match="no column `lable`, which the job names for `target`") as caught:
        Parquet(path=table, features="p*", target="lable").open()
    assert caught.value.where == str(table)
    assert caught.value.help == "did you mean `label`?"
    with pytest.raises(DataError, match=r"no column `q\*`"):
        Parquet(path=table, features="q*").open()


def test_missing_values_are_counted_and_placed(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", x=[1.0, 2, 3, 4, 5, 6, None, 8])
    with pytest.raises(DataError, match="column `x` has 1 missing value, in row 6") as caught:
        everything(Parquet(path=path).open())
    assert caught.value.where == f"{path}, row group 1 (rows 4 to 7)"
    lists = pa.array([[1.0, 2.0], [3.0, None], [5.0, 6.0]], pa.list_(pa.float64(), 2))
    with pytest.raises(DataError, match="1 missing value, in row 1"):
        everything(Parquet(path=write(tmp_path / "y.parquet", x=lists)).open())


def test_missing_values_of_columns_that_are_not_used_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", x=[1.0, 2.0], unused=[None, "a"])
    assert len(Parquet(path=path, features="x").open()) == 2


def test_types_that_are_not_numbers_are_named_with_the_mend(tmp_path: Path) -> None:
    for column, mend in (
        (pa.array(["a"]), "categories"),
        (pa.array(["a"]).dictionary_encode(), "categories"),
        (pa.array([[1.0, 2.0]]), "fixed-size list"),
        (pa.array([0], pa.timestamp("s")), "store it as numbers"),
    ):
        with pytest.raises(DataError, match=r"column `x` holds .*, not numbers") as caught:
            Parquet(path=write(tmp_path / "x.parquet", x=column), features="x").open()
        assert mend in (caught.value.help or "")


def test_a_file_that_is_not_there_is_named_with_the_nearest(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no such data file") as caught:
        Parquet(path=table.with_name("tabel.parquet")).open()
    assert caught.value.help == f"did you mean `{table}`?"
    monkeypatch.chdir(table.parent)
    with pytest.raises(DataError, match="no such data file") as caught:
        Parquet(path="data/train.parquet").open()
    assert caught.value.where == f"data/train.parquet (in {table.parent})"
    with pytest.raises(DataError, match=r"no \.parquet"):
        Parquet(path="*.parquet.gz").open()


def test_a_truncated_or_foreign_file_is_named(table: Path) -> None:
    whole = table.read_bytes()
    for content in (whole[:-20], whole[: len(whole) // 2], b"", b"a,b\n1,2\n"):
        table.write_bytes(content)
        with pytest.raises(DataError, match="not a whole Parquet file") as caught:
            Parquet(path=table, features="p0").open()
        assert caught.value.where == str(table)


def test_a_damaged_page_is_found_by_its_checksum(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=3_000)
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": values}), path, compression="none", use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    at = content.find(values[1_500].tobytes())
    assert at > 0
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged") as caught:
        everything(Parquet(path=path).open())
    assert caught.value.where == f"{path}, row group 0 (rows 0 to 2999)"


def test_files_that_differ_in_a_column_name_both(tmp_path: Path) -> None:
    first = write(tmp_path / "a.parquet", x=[1.0], y=[1])
    second = write(tmp_path / "b.parquet", x=[1.0], y=["one"])
    with pytest.raises(DataError, match=f"column `y` holds string here, but int64 in {first}") as caught:
        Parquet(path=tmp_path, target="y").open()
    assert caught.value.where == str(second)
    write(second, x=[1.0], z=[1])
    with pytest.raises(DataError, match="column `y` is missing here"):
        everything(Parquet(path=tmp_path, target="y", features="x").open())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(table: Path) -> None:
    table.chmod(0)
    with pytest.raises(DataError, match="cannot read") as caught:
        Parquet(path=table).open()
    assert caught.value.where == str(table)


def test_the_fingerprint_follows_the_files_and_not_their_place(table: Path, tmp_path: Path) -> None:
    def fingerprint(path: Path, **fields: Any) -> str:
        return Parquet(path=path, features="p*", **fields).open().fingerprint()

    copy = tmp_path / "elsewhere" / "copy.parquet"
    copy.parent.mkdir()
    copy.write_bytes(table.read_bytes())
    assert fingerprint(copy) == fingerprint(table)
    assert fingerprint(table, target="label") != fingerprint(table)
    write(copy, p0=np.arange(10, dtype="float32"), p1=np.ones(10, dtype="float32"), p2=np.ones(10, dtype="int16"))
    assert fingerprint(copy) != fingerprint(table)


def test_the_description_is_json_and_comes_back() -> None:
    source = Parquet(path=Path("a.parquet"), features=["a", "b"], target="y", shape=[2], dtypes={"target": "float32"})
    described = json.loads(json.dumps(source.describe()))
    assert described.pop("kind") == "Parquet"
    again = Parquet(**described)
    assert again.describe() == source.describe()


def test_reading_does_not_import_pandas(table: Path) -> None:
    script = "import sys; from gdist.data import Parquet; Parquet(path=sys.argv[1], features='p*').open()"
    script += "; print('pandas' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script, str(table)], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_number_that_a_narrower_float_cannot_hold_is_an_error_or_a_bad_row(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", x=[1.0, 2.0, 3.0, 4.0, 1e300, 5.0], y=[0.0] * 6)
    rows = Parquet(path=path, features="x", target="y").open().cast(torch.float32)
    with pytest.raises(DataError, match="column `x` has a value that float32 cannot hold, in row 4"):
        everything(rows)
    skipping = Parquet(path=path, features="x", target="y", on_bad_rows="skip").open().cast(torch.float32)
    batch = everything(skipping)
    assert (batch.features.view(-1).tolist(), batch.bad) == ([1, 2, 3, 4, 5], 1)
    assert everything(Parquet(path=path, features="x", target="y").open()).features[4].item() == 1e300
