"""The Arrow table under a ``datasets.Dataset``, memory-mapped or in memory, in stretches of a few megabytes.

Where the dataset was shuffled or filtered, its own list of rows is followed. Nothing of its library is imported.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.data.formats.format import Group, Read, Reader, damaged, reason
from gdist.data.storage import StoredFile

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_BYTES = 4 << 20
_GROUP_ROWS = 65_536  # at most


class HuggingFaceReader(Reader):
    """``dataset``: a datasets.Dataset. Images come as the bytes that they are encoded in, arrays as fixed-size lists."""

    def __init__(self, dataset: Any) -> None:
        import pyarrow as pa

        self._dataset = dataset
        rows = len(dataset)
        whole: pa.Table = dataset.data.table.select(dataset.column_names)
        row_bytes = max(1, whole.nbytes // max(len(whole), 1))
        size = min(max(_GROUP_BYTES // row_bytes, 1), _GROUP_ROWS)
        starts = range(0, rows, size)
        groups = [Group(first, min(size, rows - first), row_bytes * min(size, rows - first)) for first in starts]
        fields = [pa.field(each.name, _read_as(each.type)) for each in whole.schema]
        version = str(dataset._fingerprint)
        file = StoredFile(path="", shown=_shown(dataset), size=row_bytes * rows, version=version)
        super().__init__(file, stored=pa.schema(fields), groups=groups)

    def _read(self, group: int, columns: list[str], *, skip_bad: bool) -> Read:
        import pyarrow as pa

        first, rows = self.groups[group].first_row, self.groups[group].rows
        table: pa.Table = self._dataset.data.table.select(columns)
        try:
            if self._dataset._indices is None:
                table = table.slice(first, rows)
            else:
                table = table.take(self._dataset._indices.column(0).slice(first, rows))
            arrays = [_plain(table.column(name), self.stored.field(name).type) for name in columns]
        except (pa.ArrowException, OSError) as error:
            raise damaged(self.place(group), reason(error)) from error
        table = pa.table(arrays, names=columns)
        self.count(table.nbytes)
        return Read(table)

    def fingerprint(self) -> str:
        return fingerprint(self._dataset)


def fingerprint(dataset: Any) -> str:
    """Of what the dataset was made from and by which functions, as its own library has it."""
    known = [dataset._fingerprint, len(dataset), dataset.column_names]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


def _read_as(kind: pa.DataType) -> pa.DataType:
    """The type as which a stored one is read."""
    import pyarrow as pa
    import pyarrow.types as is_

    if isinstance(kind, pa.BaseExtensionType):
        shape = getattr(kind, "shape", None)
        inner = kind.storage_type
        if shape is None or None in shape:
            return inner
        while is_.is_list(inner) or is_.is_large_list(inner) or is_.is_fixed_size_list(inner):
            inner = inner.value_type
        for size in reversed(shape):
            inner = pa.list_(inner, size)
        return inner
    return pa.binary() if _is_image(kind) else kind


def _is_image(kind: pa.DataType) -> bool:
    import pyarrow.types as is_

    return is_.is_struct(kind) and {kind.field(i).name for i in range(kind.num_fields)} == {"bytes", "path"}


def _plain(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """A column as the type as which it is read."""
    import pyarrow as pa

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=column.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
        return array if array.type == kind else _fixed(array, kind)
    return _encoded(array) if _is_image(array.type) else array


def _fixed(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Nested lists of one shape as fixed-size lists; what is null stays so."""
    import pyarrow as pa
    import pyarrow.types as is_

    if not is_.is_fixed_size_list(kind):
        return array
    if not is_.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type, kind.list_size))
    inner = _fixed(array.values.slice(array.offset * kind.list_size, len(array) * kind.list_size), kind.value_type)
    mask = array.is_null() if array.null_count else None
    return pa.FixedSizeListArray.from_arrays(inner, kind.list_size, mask=mask)


def _encoded(array: pa.Array) -> pa.Array:
    """The bytes of images; those that only have a path are read from there."""
    import pyarrow as pa

    parts = dict(zip((array.type.field(i).name for i in range(array.type.num_fields)), array.flatten(), strict=True))
    stored = parts["bytes"].cast(pa.binary())
    if not stored.null_count:
        return stored
    pairs = zip(stored.to_pylist(), parts["path"].to_pylist(), strict=True)
    return pa.array([Path(path).read_bytes() if value is None and path else value for value, path in pairs], type=pa.binary())


def _shown(dataset: Any) -> str:
    name = dataset.info.dataset_name or dataset.info.builder_name
    split = f"[{dataset.split}]" if dataset.split is not None else ""
    return f"dataset {name}{split}" if name else f"the Hugging Face dataset{split}"
