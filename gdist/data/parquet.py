"""Parquet files on a local path, read once into row-major memory: only the columns that are used, row group by row group.

The fingerprint is over each file's size and footer (schema, row groups, offsets, statistics), so that machines that hold
the same files agree without reading them twice.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import Field, field_validator

from gdist.data.columns import Choice, Dtype, TensorPlan, fill, plan_tensors
from gdist.data.files import find_files
from gdist.data.source import Source
from gdist.data.tensors import TensorRows
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

_ENDING_BYTES = 8  # a Parquet file ends with its footer's length (4 bytes) and the mark PAR1


class Parquet(Source):
    """``Parquet(path="train.parquet", target="label")``: every other column is a feature.

    ``features`` always has a dimension after the rows; ``target`` and extra tensors of one column named alone have none.
    """

    path: str | Path | tuple[str | Path, ...] = Field(description="a file, a folder, a glob such as data/*.parquet, or a list")
    features: Choice | None = Field(
        default=None, description="columns the model sees: a name, a list, or a pattern such as pixel_*; all others if not set"
    )
    target: Choice | None = Field(default=None, description="column or columns the model should say; none if not set")
    extra: dict[str, Choice] = Field(default={}, description="further tensors of a batch by name, and their columns")
    shape: tuple[int, ...] | None = Field(default=None, description="of one sample's features, such as [1, 8, 8]")
    dtypes: dict[str, Dtype] = Field(
        default={},
        description=f"type of a tensor by its name, one of {', '.join(get_args(Dtype))}; if not set, features are floats and "
        "whole numbers elsewhere int64",
    )

    @field_validator("extra")
    @classmethod
    def _own_names(cls, extra: dict[str, Choice]) -> dict[str, Choice]:
        for name in ("features", "target"):
            if name in extra:
                raise ValueError(f"`{name}` has a field of its own: {name}=")
        return extra

    def open(self) -> TensorRows:
        import numpy as np
        import torch

        files = find_files(self.path, suffixes=(".parquet", ".pq", ".parq"))
        opened = [open_file(file) for file in files]
        schema = opened[0].schema_arrow
        plans = plan_tensors(
            schema,
            features=self.features,
            target=self.target,
            extra=self.extra,
            shape=self.shape,
            dtypes=dict(self.dtypes),
            where=str(files[0]),
        )
        _check_same_columns(plans, files, [file.schema_arrow for file in opened])
        rows = sum(file.metadata.num_rows for file in opened)
        if not rows:
            raise DataError("the data is empty: no file has a row", where=", ".join(map(str, files[:3])))
        memory = {plan.name: np.empty((rows, math.prod(plan.shape)), dtype=plan.dtype) for plan in plans}
        start = 0
        for path, file in zip(files, opened, strict=True):
            start = _read(path, file, plans, memory, start)
        tensors = {plan.name: torch.from_numpy(memory[plan.name]).view(rows, *plan.shape) for plan in plans}
        return TensorRows(tensors, identity=lambda: _fingerprint(files, plans))


def open_file(path: Path) -> pq.ParquetFile:
    """A file whose footer has been read. Raises DataError for what is no whole Parquet file, or may not be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except pa.ArrowInvalid as error:
        raise DataError(
            "not a whole Parquet file: it is truncated, or of another format",
            where=str(path),
            note=str(error).splitlines()[0],
            help="write it again; a writer that is still at work should write aside and rename",
        ) from error
    except OSError as error:
        raise DataError("cannot read a data file", where=str(path), note=_reason(error)) from error


def _read(path: Path, file: pq.ParquetFile, plans: list[TensorPlan], memory: dict[str, np.ndarray], start: int) -> int:
    """Reads one file's used columns into rows ``start`` and on; returns where the next file's begin."""
    import pyarrow as pa

    used = list(dict.fromkeys(column for plan in plans for column in plan.columns))
    first_row = 0
    for group in range(file.num_row_groups):
        try:
            table = file.read_row_group(group, columns=used)
        except (pa.ArrowException, OSError) as error:
            where = f"{path}, row group {group} (rows {first_row} and on)"
            raise DataError("a data file is damaged", where=where, note=_reason(error), help="write it again") from error
        for plan in plans:
            columns = [table.column(name) for name in plan.columns]
            fill(memory[plan.name], start, plan, columns, where=f"{path}, row group {group}", first_row=first_row)
        start += table.num_rows
        first_row += table.num_rows
    return start


def _check_same_columns(plans: list[TensorPlan], files: list[Path], schemas: list[pa.Schema]) -> None:
    for path, schema in zip(files[1:], schemas[1:], strict=True):
        for name in dict.fromkeys(column for plan in plans for column in plan.columns):
            if name not in schema.names:
                raise DataError(f"column `{name}` is missing here, but not in {files[0]}", where=str(path))
            if schema.field(name).type != schemas[0].field(name).type:
                raise DataError(
                    f"column `{name}` holds {schema.field(name).type} here, but {schemas[0].field(name).type} in {files[0]}",
                    where=str(path),
                    help="write the files with one schema",
                )


def _fingerprint(files: list[Path], plans: list[TensorPlan]) -> str:
    digest = hashlib.sha256(json.dumps([vars(plan) for plan in plans]).encode())
    for path in files:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(size - _ENDING_BYTES)
            footer_bytes = int.from_bytes(file.read(4), "little")
            file.seek(size - _ENDING_BYTES - footer_bytes)
            digest.update(f"{size}\n".encode() + file.read(footer_bytes))
    return digest.hexdigest()[:32]


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
