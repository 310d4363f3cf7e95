"""Arrow IPC files (Feather V2 is the same): record batches are the row groups, compressed or not.

A local file is memory-mapped: what is not compressed is used where it lies, without a copy. A file that was cut or written
again is refused at the next record batch; if it is cut in the very moment in which one is read, the system ends the process
(SIGBUS), so replace such files by renaming, never in place, while they are in use. The stream format, which some
libraries write under the same ending, has no index: one look at each message's header makes it.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from gdist.data.formats.arrow_messages import Message, in_file, in_stream
from gdist.data.formats.format import Group, Read, Reader, damaged, reason
from gdist.data.formats.guess import mend
from gdist.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from gdist.data.storage import StoredFile

SUFFIXES = (".arrow", ".feather", ".ipc", ".arrows")
_FILE_MARK, _STREAM_MARK, _FEATHER_1_MARK = b"ARROW1", b"\xff\xff\xff\xff", b"FEA1"


def open_reader(file: StoredFile, *, options: None = None) -> ArrowReader:
    """Reads the schema and where the record batches lie. Raises DataError for what is no whole Arrow file."""
    import pyarrow as pa

    try:
        with file.open(memory_map=True) as source:
            mark = source.read_at(len(_FILE_MARK), 0)
            if mark == _FILE_MARK:
                schema = pa.ipc.open_file(source).schema
                messages = in_file(source, file.size)
            elif mark.startswith(_STREAM_MARK):
                schema = pa.ipc.open_stream(source).schema
                messages = in_stream(source, file.size)
                _refuse_dictionaries(schema, file)
            else:
                raise _not_arrow(mark, file)
        content = b"%d\n" % file.size + schema.serialize().to_pybytes() + repr(messages).encode()
        fingerprint = hashlib.sha256(content).hexdigest()[:32]
        return ArrowReader(file, schema, messages, is_stream=mark != _FILE_MARK, fingerprint=fingerprint)
    except (pa.ArrowException, OSError, MemoryError, ValueError, struct.error) as error:
        raise DataError(
            "not a whole Arrow file: it is truncated, or of another format",
            where=file.shown,
            note=reason(error),
            help=mend(file, format="arrow"),
        ) from error


class ArrowReader(Reader):
    def __init__(
        self,
        file: StoredFile,
        schema: pa.Schema,
        messages: list[Message],
        *,
        is_stream: bool,
        fingerprint: str,
    ) -> None:
        groups, first_row = [], 0
        for message in messages:
            groups.append(Group(first_row, message.rows, message.body_bytes))
            first_row += message.rows
        super().__init__(file, stored=schema.remove_metadata(), groups=groups)
        self._schema, self._messages, self._is_stream, self._of_content = schema, messages, is_stream, fingerprint

    def _read(self, group: int, columns: list[str], *, skip_bad: bool) -> Read:
        import pyarrow as pa

        message = self._messages[group]
        options = pa.ipc.IpcReadOptions()
        try:
            with self.file.open(memory_map=True) as source:
                if self._is_stream:
                    source.seek(message.offset)
                    batch = pa.ipc.read_record_batch(pa.ipc.read_message(source), self._schema)
                else:
                    if message.is_compressed or not isinstance(source, pa.MemoryMappedFile):
                        # Only where all lies in memory as it is used, does it cost nothing to take all columns.
                        options.included_fields = sorted(self.stored.names.index(name) for name in columns)
                    batch = pa.ipc.open_file(source, options=options).get_batch(group)
            batch = batch.select(columns)
            batch.validate(full=True)  # offsets and codes that point outside would crash whoever uses them
        except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
            raise damaged(self.place(group), reason(error)) from error
        if batch.num_rows != self.groups[group].rows:
            note = f"{batch.num_rows} rows were found, its header says {self.groups[group].rows}"
            raise damaged(self.place(group), note)
        # How many bytes each column takes is not written anywhere: as much as in memory, where nothing is compressed.
        self.count(min(batch.nbytes, self.groups[group].stored_bytes))
        return Read(pa.Table.from_batches([batch]).replace_schema_metadata(None))

    def fingerprint(self) -> str:
        """Of the schema, the size, and how large each record batch is: an Arrow file has no checksums."""
        return self._of_content


def _refuse_dictionaries(schema: pa.Schema, file: StoredFile) -> None:
    import pyarrow as pa

    for each in schema:
        if pa.types.is_dictionary(each.type):
            raise DataError(
                f"column `{each.name}` is a dictionary, which an Arrow stream only has for those who read it from its start",
                where=file.shown,
                help="write it in the file format: pyarrow.ipc.new_file, or pyarrow.feather.write_feather",
            )


def _not_arrow(mark: bytes, file: StoredFile) -> DataError:
    if mark.startswith(_FEATHER_1_MARK):
        return DataError("Feather in its first version, which is another format", where=file.shown, help="write it again as V2")
    what = "an empty file is not an Arrow file" if not file.size else "not an Arrow file"
    help = mend(file, format="arrow", otherwise="is it of another format?")
    return DataError(what, where=file.shown, note=f"it begins with {mark!r}", help=help)
