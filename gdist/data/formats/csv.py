"""CSV: blocks of records, parsed by pyarrow.csv. Only the columns that are asked for are converted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdist.data.formats import kinds as of_columns
from gdist.data.formats.blocks import Blocks, find_blocks
from gdist.data.formats.csv_names import read_names
from gdist.data.formats.format import reason
from gdist.data.formats.options import CsvOptions
from gdist.data.formats.text import TextReader

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv

    from gdist.data.storage import StoredFile

SUFFIXES = (".csv", ".tsv")


def open_reader(file: StoredFile, *, options: CsvOptions | None = None, kinds: pa.Schema | None = None) -> CsvReader:
    """Finds the blocks, and the columns' types where ``kinds`` does not say them.

    Raises DataError for what cannot be CSV, and for a line of names that cannot be read.
    """
    options = options or CsvOptions()
    names, start, first_line = read_names(file, options)
    if not names and kinds is not None:
        names = kinds.names  # an empty file
    blocks = find_blocks(file, options.dialect(), start=start, first_line=first_line)
    known = {} if kinds is None else {name: kinds.field(name).type for name in names if name in kinds.names}
    reader = CsvReader(file, names, known, options, blocks)
    if len(known) < len(names):
        found = of_columns.merged([reader.inferred(block) for block in of_columns.samples(len(reader.groups))])
        rest = {name: found.field(name).type for name in found.names if name not in known}
        reader = CsvReader(file, names, rest | known, options, blocks)
    return reader


class CsvReader(TextReader):
    def __init__(
        self,
        file: StoredFile,
        names: Sequence[str],
        known: dict[str, pa.DataType],
        options: CsvOptions,
        blocks: Blocks,
    ) -> None:
        import pyarrow as pa

        stored = pa.schema([(name, known.get(name, pa.string())) for name in names])
        stored = of_columns.as_told(stored, dict(options.types), where=file.shown)
        super().__init__(file, stored, blocks, options.dialect())
        self.options = options

    def inferred(self, block: int) -> pa.Schema:
        """Types of what a block holds; records of the wrong length are left for when they are read."""
        text = self._sample(block).decode(self.options.encoding, "replace")
        return self._table(text.encode(), None, skip_wrong_lengths=True).schema

    def guesses(self, kind: pa.DataType) -> bool:
        return not of_columns.is_text(kind)

    def texts(self, group: int, column: str) -> tuple[pa.Array, np.ndarray]:
        import numpy as np
        import pyarrow.compute as pc

        read = self.read(group, [column], skip_bad=True)
        values = read.table.column(0).combine_chunks()
        places = np.arange(len(values)) if read.rows is None else read.rows
        if self.options.decimal == ",":
            values = pc.replace_substring(values, ",", ".")
        return values.drop_null(), places[values.is_valid().to_numpy(zero_copy_only=False)]

    def _parse(self, data: bytes, columns: Sequence[str]) -> pa.Table:
        if self.options.encoding != "utf-8":
            data = data.decode(self.options.encoding).encode()
        return self._table(data, {name: self.stored.field(name).type for name in columns})

    def _table(self, data: bytes, kinds: dict[str, pa.DataType] | None, *, skip_wrong_lengths: bool = False) -> pa.Table:
        """``data`` in UTF-8; ``kinds`` None: all columns, as they seem."""
        import pyarrow as pa
        import pyarrow.csv as csv

        return csv.read_csv(
            pa.BufferReader(data),
            read_options=csv.ReadOptions(column_names=self.stored.names, block_size=len(data) + 1),
            parse_options=self._marks((lambda row: "skip") if skip_wrong_lengths else None),
            convert_options=csv.ConvertOptions(
                column_types=kinds,
                include_columns=list(kinds or ()),
                null_values=list(self.options.null_words),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                decimal_point=self.options.decimal,
            ),
        )

    def _marks(self, when_wrong_length: object = None) -> pyarrow.csv.ParseOptions:
        import pyarrow.csv as csv

        return csv.ParseOptions(
            delimiter=self.options.delimiter,
            quote_char=self.options.quote or False,
            escape_char=self.options.escape or False,
            newlines_in_values=True,
            invalid_row_handler=when_wrong_length,
        )

    def _explain(self, record: bytes, columns: Sequence[str]) -> tuple[str, str | None]:
        import pyarrow as pa

        try:
            record = record.decode(self.options.encoding).encode()
        except UnicodeDecodeError as error:
            what = f"byte 0x{record[error.start]:02x} is not {self.options.encoding}"
            return what, 'name the encoding, as in encoding="latin-1", or convert the file to UTF-8'
        try:
            texts = self._table(record, dict.fromkeys(self.stored.names, pa.string()))
        except pa.ArrowInvalid:
            return self._wrong_length(record)
        for name in columns:
            kind = self.stored.field(name).type
            try:
                self._table(record, {name: kind})
            except pa.ArrowInvalid:
                value = texts.column(name)[0].as_py()
                mend = f"types={{'{name}': 'string'}} takes it as text; null_words are the words for a missing value"
                return f"column `{name}` holds {value!r}, not {of_columns.word(kind)}", mend
        return "this record cannot be read", None

    def _wrong_length(self, record: bytes) -> tuple[str, str | None]:
        import pyarrow as pa
        import pyarrow.csv as csv

        found: list[int] = []

        def noted(row: csv.InvalidRow) -> str:
            found.append(row.actual_columns)
            return "skip"

        try:
            csv.read_csv(
                pa.BufferReader(record),
                read_options=csv.ReadOptions(column_names=self.stored.names, block_size=len(record) + 1),
                parse_options=self._marks(noted),
            )
        except pa.ArrowInvalid as error:
            return "this record cannot be read", reason(error)
        fields = f"{found[0]} fields" if found and found[0] != 1 else "1 field"
        wanted = f"{len(self.stored.names)} columns"
        return (
            f"{fields}, but there are {wanted}",
            f"a value that holds `{self.options.delimiter}` or a line end must be in quotes",
        )


def settle(files: Sequence[StoredFile], options: CsvOptions | None = None) -> pa.Schema | None:
    """The columns' types over all files; None if none has a row."""
    return of_columns.settled(files, lambda file: open_reader(file, options=options))
