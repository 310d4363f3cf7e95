"""JSON lines: one object a line, parsed by pyarrow.json. Only the columns that are asked for are kept.

Lists that are equally long in all rows that were looked at are fixed-size lists; a row with a longer or shorter one is bad.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gdist.data.formats import kinds as of_columns
from gdist.data.formats.blocks import Blocks, find_blocks
from gdist.data.formats.kinds import fixed, variable
from gdist.data.formats.options import JsonLinesOptions
from gdist.data.formats.records import JSON, are_objects, deepest, find_records
from gdist.data.formats.text import TextReader
from gdist.data.formats.text_marks import text_start
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.storage import StoredFile

SUFFIXES = (".jsonl", ".ndjson", ".json")
_FIRST_BYTES = 4096
_DEEPEST = 500  # pyarrow descends into what it infers, and at some depth out of its stack
_MOST_TRIES = 200  # to find types between bad records
_NAMES = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}


def open_reader(
    file: StoredFile, *, options: JsonLinesOptions | None = None, kinds: pa.Schema | None = None
) -> JsonLinesReader:
    """Finds the blocks, and the columns and their types where ``kinds`` does not say them.

    Raises DataError for what is not JSON lines, and where none of the rows looked at can be read.
    """
    import pyarrow as pa

    options = options or JsonLinesOptions()
    with file.open() as source:
        head = source.read_at(_FIRST_BYTES, 0)
    start = text_start(head, file)
    if head[start:].lstrip().startswith(b"["):
        mend = "write one object a line: jq -c '.[]' IN.json > OUT.jsonl"
        raise DataError("this is one JSON array, not JSON lines", where=file.shown, help=mend)
    blocks = find_blocks(file, JSON, start=start, first_line=1)
    if kinds is None:
        unknown = JsonLinesReader(file, pa.schema([]), blocks)
        samples = of_columns.samples(len(unknown.groups))
        found = [schema for block in samples for schema in unknown.inferred(block)]
        if samples and not found:
            unknown.raise_first(samples[0])
        kinds = of_columns.as_told(of_columns.merged(found, first_wins=True), dict(options.types), where=file.shown)
    return JsonLinesReader(file, kinds, blocks)


def settle(files: Sequence[StoredFile], options: JsonLinesOptions | None = None) -> pa.Schema | None:
    """The columns' types over all files; None if none has a row."""
    return of_columns.settled(files, lambda file: open_reader(file, options=options), first_wins=True)


class JsonLinesReader(TextReader):
    def __init__(self, file: StoredFile, kinds: pa.Schema, blocks: Blocks) -> None:
        super().__init__(file, kinds, blocks, JSON)

    def inferred(self, block: int) -> Iterator[pa.Schema]:
        """Columns and types of what a block holds, in parts between its bad records."""
        import pyarrow as pa

        data = self._sample(block)
        records = find_records(data, JSON)
        depth = deepest(data, records)
        if depth > _DEEPEST:
            raise DataError(f"an object is {depth} levels deep", where=self.place(block), help=f"at most {_DEEPEST} are read")
        waiting, tries = [(0, len(records.starts))], 0
        while waiting and tries < _MOST_TRIES:
            first, last = waiting.pop()
            part = data[records.starts[first] : records.ends[last - 1]]
            tries += 1
            try:
                table = _table(part, None)
                yield pa.schema([(name, fixed(table.column(name))) for name in table.column_names])
            except (pa.ArrowInvalid, UnicodeError):
                middle = (first + last) // 2
                waiting += [(middle, last), (first, middle)] if last - first > 1 else []

    def raise_first(self, block: int) -> None:
        """Raises DataError for the first record of a block of which none can be read."""
        self._without_bad(self._block(block), block, [], skip_bad=False)

    def guesses(self, kind: pa.DataType) -> bool:
        """Numbers stand without quotes, but what is in quotes may look like a time."""
        import pyarrow as pa

        return bool(pa.types.is_temporal(kind) or pa.types.is_null(kind))

    def texts(self, group: int, column: str) -> tuple[pa.Array, np.ndarray]:
        """Numbers too, as they are written."""
        import numpy as np
        import pyarrow as pa

        data = self._block(group)
        records = find_records(data, JSON)
        found: dict[int, str] = {}
        for row, (start, end) in enumerate(zip(records.starts.tolist(), records.ends.tolist(), strict=True)):
            try:
                value = json.loads(data[start:end])[column]
            except (ValueError, RecursionError, KeyError, TypeError):
                continue
            if value is not None:
                found[row] = value if isinstance(value, str) else json.dumps(value)
        return pa.array(found.values(), pa.string()), np.fromiter(found, np.int64, len(found))

    def _parse(self, data: bytes, columns: Sequence[str]) -> pa.Table:
        import pyarrow as pa

        kinds = [(name, self.stored.field(name).type) for name in columns]
        table = _table(data, pa.schema([(name, variable(kind)) for name, kind in kinds]))
        for number, (name, kind) in enumerate(kinds):
            if table.schema.field(number).type != kind:
                table = table.set_column(number, name, table.column(number).cast(kind))
        table.validate(full=True)  # pyarrow.json takes text that is no UTF-8
        return table

    def _explain(self, record: bytes, columns: Sequence[str]) -> tuple[str, str | None]:
        import pyarrow as pa

        try:
            value = json.loads(record.decode().strip())
        except UnicodeDecodeError as error:
            return f"byte 0x{record[error.start]:02x} is not UTF-8", "convert the file to UTF-8"
        except json.JSONDecodeError as error:
            return f"not JSON: {error.msg} at character {error.pos + 1}", "each line must be one JSON object"
        except RecursionError:
            return "not JSON that can be read: too many levels", None
        if not isinstance(value, dict):
            return f"{_NAMES.get(type(value), 'null')}, not an object", "each line must be one JSON object"
        for name in columns:
            try:
                self._parse(record, [name])
            except pa.ArrowInvalid:
                kind = of_columns.word(self.stored.field(name).type)
                mend = f"types={{'{name}': ...}} sets another type; a missing value is null"
                return f"column `{name}` holds {_shown(value.get(name))}, not {kind}", mend
        return "a JSON object that cannot be read", "is a name in it twice?"


def _table(data: bytes, kinds: pa.Schema | None) -> pa.Table:
    """``kinds`` None: all columns, as they seem."""
    import pyarrow as pa
    import pyarrow.json

    if not are_objects(data):
        raise pa.ArrowInvalid("a line is no object")  # pyarrow.json ends the process for some such
    return pa.json.read_json(
        pa.BufferReader(data),
        read_options=pa.json.ReadOptions(block_size=len(data) + 1),
        parse_options=pa.json.ParseOptions(
            explicit_schema=kinds, unexpected_field_behavior="infer" if kinds is None else "ignore"
        ),
    )


def _shown(value: object, most: int = 40) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[:most]}..."
