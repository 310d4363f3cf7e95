"""Several files as one data set: folders' columns and one schema, or which file differs in what."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gdist.data.formats.file_set import common_schema, open_readers
from gdist.data.formats.format import Reader
from gdist.errors import DataError
from tests.data.formats.stored import stored


def readers(folder: Path, *tables: pa.Table) -> list[Reader]:
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet")
    return open_readers("parquet", [stored(folder / f"{number}.parquet") for number in range(len(tables))])


def column(kind: pa.DataType) -> pa.Table:
    return pa.table({"x": pa.array([], kind)})


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.int32(), pa.float32(), pa.float64()),
        (pa.null(), pa.int8(), pa.int8()),
        (pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.string()),
        (pa.list_(pa.int32(), 3), pa.list_(pa.int64(), 3), pa.list_(pa.int64(), 3)),
    ],
)
def test_types_become_the_one_that_holds_both(tmp_path: Path, one: pa.DataType, other: pa.DataType, both: pa.DataType) -> None:
    assert common_schema(readers(tmp_path, column(one), column(other)), ["x"]).field("x").type == both
    assert common_schema(readers(tmp_path, column(other), column(one), column(one)), ["x"]).field("x").type == both


def test_types_that_no_type_holds_name_both_files(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        common_schema(readers(tmp_path, column(pa.int32()), column(pa.int64()), column(pa.string())), ["x"])
    assert str(caught.value) == (
        f"column `x` holds string here, but int64 in {tmp_path}/1.parquet\n  --> {tmp_path}/2.parquet\n"
        "help: write the files with one schema"
    )
    with pytest.raises(DataError, match=r"holds fixed_size_list<.*>\[3\] here, but fixed_size_list<.*>\[2\] in"):
        common_schema(readers(tmp_path, column(pa.list_(pa.int8(), 2)), column(pa.list_(pa.int8(), 3))), ["x"])


def test_a_missing_column_names_the_file_that_lacks_it(tmp_path: Path) -> None:
    found = readers(tmp_path, pa.table({"x": [1], "y": [1]}), pa.table({"x": [1]}))
    assert common_schema(found, ["x"]).names == ["x"]
    with pytest.raises(DataError, match=r"column `y` is missing here, but not in .*0\.parquet") as caught:
        common_schema(found, ["y", "x"])
    assert caught.value.where == f"{tmp_path}/1.parquet"


def test_columns_of_folders_have_one_type_over_all_files(tmp_path: Path) -> None:
    for name in "ab":
        pq.write_table(pa.table({"x": [1]}), tmp_path / name)
    hive = ({"year": "2024", "place": "1"}, {"year": "2023", "place": "x"})
    found = open_readers("parquet", [stored(tmp_path / name, **each) for name, each in zip("ab", hive, strict=True)])
    schema = common_schema(found, ["year", "place", "x"])
    assert schema.types == [pa.int64(), pa.dictionary(pa.int32(), pa.string()), pa.int64()]
    assert found[0].read(0, ["place", "year"]).table.to_pydict() == {"place": ["1"], "year": [2024]}


def test_a_folder_without_the_column_has_nulls_and_a_files_own_column_stands(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1], "year": [7]}), tmp_path / "a")
    pq.write_table(pa.table({"x": [1], "year": [8]}), tmp_path / "b")
    found = open_readers(
        "parquet", [stored(tmp_path / "a", year="2024", place="__HIVE_DEFAULT_PARTITION__"), stored(tmp_path / "b")]
    )
    assert [reader.read(0, ["year", "place"]).table.to_pydict() for reader in found] == [
        {"year": [7], "place": [None]},
        {"year": [8], "place": [None]},
    ]
