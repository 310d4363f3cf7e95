"""Parquet: row groups as their writer cut them. Page checksums are verified, where the writer wrote them.

A file is read with plain reads, not through a memory map: pages are decompressed anyway, and a file that shrinks under a map
kills the process.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from gdist.data.formats.format import Group, Read, Reader, damaged, reason
from gdist.data.formats.guess import mend
from gdist.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from gdist.data.storage import StoredFile

SUFFIXES = (".parquet", ".pq", ".parq")
_ENDING_BYTES = 8  # a Parquet file ends with its footer's length (4 bytes) and the mark PAR1


def open_reader(file: StoredFile, *, options: None = None) -> ParquetReader:
    """Reads the footer. Raises DataError for what is no whole Parquet file, or may not be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with file.open() as source:
            opened = pq.ParquetFile(source)
            fingerprint = _fingerprint(source, file.size)
        return ParquetReader(file, opened.metadata, opened.schema_arrow, fingerprint=fingerprint)
    except (pa.ArrowException, OSError, MemoryError, ValueError, IndexError) as error:
        if isinstance(error, pa.ArrowNotImplementedError):
            raise DataError("this Parquet file uses what cannot be read here", where=file.shown, note=reason(error)) from error
        raise DataError(
            "not a whole Parquet file: it is truncated, or of another format",
            where=file.shown,
            note=reason(error),
            help=mend(file, format="parquet"),
        ) from error


class ParquetReader(Reader):
    def __init__(self, file: StoredFile, metadata: pq.FileMetaData, schema: pa.Schema, *, fingerprint: str) -> None:
        found = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        whole = max(1, sum(group.total_byte_size for group in found))
        groups, first_row = [], 0
        for group in found:  # as stored: not said but of each column, which pyarrow may not be asked yet (see _bytes_of)
            groups.append(Group(first_row, group.num_rows, file.size * group.total_byte_size // whole))
            first_row += group.num_rows
        if first_row != metadata.num_rows or any(group.rows < 0 or group.stored_bytes < 0 for group in groups):
            raise damaged(file.shown, "its footer contradicts itself")
        super().__init__(file, stored=schema.remove_metadata(), groups=groups)
        self.metadata = metadata
        self._of_content = fingerprint
        self._owners = _owners(metadata, schema)

    def _read(self, group: int, columns: list[str], *, skip_bad: bool) -> Read:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self.file.open() as source:
                # A file object of this read's own: pq.ParquetFile is not for several threads; the footer is not read again.
                # All of a row group is asked for at once where each request takes long; here it would be held twice.
                opened = pq.ParquetFile(
                    source, metadata=self.metadata, page_checksum_verification=True, pre_buffer=not self.file.place.is_local
                )
                table = opened.read_row_group(group, columns=columns)
                table.validate(full=True)  # text that is no UTF-8 would fail later, in whoever looks at it
        except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
            raise damaged(self.place(group), reason(error)) from error
        if table.num_rows != self.groups[group].rows:
            note = f"{table.num_rows} rows were found, the footer says {self.groups[group].rows}"
            raise damaged(self.place(group), note)
        self.count(self._bytes_of(group, columns))
        return Read(table.replace_schema_metadata(None))

    def statistics(self) -> dict[str, tuple[int, Any, Any]]:
        """Of columns that are neither lists nor structs, if all row groups have statistics of them. Of a sound footer."""
        found: dict[str, tuple[int, Any, Any]] = {}
        for leaf, owner in enumerate(self._owners):
            if self.metadata.schema.column(leaf).path == self.stored.names[owner]:
                told = [self.metadata.row_group(group).column(leaf).statistics for group in range(len(self.groups))]
                if told and all(each is not None and each.has_null_count for each in told):
                    ends = [_ends(each) for each in told if each.has_min_max]
                    nulls = sum(each.null_count for each in told)
                    least = min((one for one, _ in ends if one is not None), default=None)
                    most = max((one for _, one in ends if one is not None), default=None)
                    found[self.stored.names[owner]] = (nulls, least, most)
        return found

    def fingerprint(self) -> str:
        return self._of_content

    def _bytes_of(self, group: int, columns: list[str]) -> int:
        """Compressed, of columns that have been read: only of those is it sure that what the footer says of them is sound.
        Where it is not, asking ends the process (pyarrow 26 lets parquet::ParquetException through).
        """
        found, owners = self.metadata.row_group(group), {self.stored.names.index(name) for name in columns}
        return sum(found.column(leaf).total_compressed_size for leaf, owner in enumerate(self._owners) if owner in owners)


def _ends(statistics: pq.Statistics) -> tuple[Any, Any]:
    try:
        return statistics.min, statistics.max
    except (ValueError, OverflowError):  # a time that Python has no value for
        return None, None


def _owners(metadata: pq.FileMetaData, schema: pa.Schema) -> list[int]:
    """For each leaf of the file, the column of the schema that it belongs to: both stand in one order."""
    owners, owner, names = [], 0, schema.names  # the schema makes its list of names anew each time
    for leaf in range(metadata.num_columns):
        path = metadata.schema.column(leaf).path
        while path != names[owner] and not path.startswith(f"{names[owner]}."):
            owner += 1
        owners.append(owner)
    return owners


def _fingerprint(source: pa.NativeFile, size: int) -> str:
    """Of the file's size and footer: schema, row groups, offsets, statistics."""
    footer_bytes = int.from_bytes(source.read_at(_ENDING_BYTES, size - _ENDING_BYTES)[:4], "little")
    footer = source.read_at(footer_bytes, size - _ENDING_BYTES - footer_bytes)
    return hashlib.sha256(b"%d\n" % size + footer).hexdigest()[:32]
