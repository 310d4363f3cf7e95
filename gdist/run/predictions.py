"""A file of predictions, made from the parts that workers write: whole or absent.

    .predictions.parquet.parts/      beside the file itself, held by the worker that leads
    ├── lock
    ├── 0000.arrow, 0001.arrow ...   each worker's rows, in order (Arrow's IPC format)
    └── whole                        all of them, in the order of the workers; synced, then renamed to predictions.parquet

Whatever ends the work early takes the folder away; one that a killed process left is taken over by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.durable import sync_file, sync_folder
from gdist.errors import PeerLost, RunFailed, UsageError
from gdist.run.table_files import KINDS, open_table_file

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 131_072  # written at once: a row group of Parquet, the same wherever the parts end
_HELD_BYTES = 8 << 20  # of a part, in memory


def check_out(path: str, *, force: bool) -> None:
    """Raises UsageError where ``path`` cannot become a file of predictions; asked before anything is started."""
    where, out = f"--out {path}", Path(path)
    if "://" in path:
        raise UsageError("predictions are written to a local file", where=where, help="write it here, then copy it there")
    if out.suffix.lower() not in KINDS:
        ending = f"ends in {out.suffix}" if out.suffix else "has no ending"
        raise UsageError(f"of which kind is a file that {ending}?", where=where, help=f"known endings: {', '.join(KINDS)}")
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder `{out.parent}`", where=where, help=f"make it: mkdir -p {out.parent}")
    if out.is_dir():
        raise UsageError("that is a folder", where=where, help=f"name the file: {out}/predictions.parquet")
    if out.exists() and not force:
        raise UsageError("the file is there already", where=where, help="choose another name, or write over it: --force")


class Parts:
    """The folder of parts of the file ``out``."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.with_name(f".{out.name}.parts")
        self._lock: int | None = None

    def begin(self) -> None:
        """Makes the folder, empty, and holds it. For the worker that leads. Raises UsageError if another process has it."""
        try:
            self.folder.mkdir(exist_ok=True)
            if not self._hold():
                raise UsageError("another process is writing this file now", where=str(self.out), help="choose another --out")
            for left in self.folder.iterdir():
                if left.name != "lock":
                    left.unlink()
        except OSError as error:
            raise cannot_write(self.out, error) from error

    def part(self, rank: int) -> Path:
        return self.folder / f"{rank:04d}.arrow"

    def end(self) -> None:
        """Takes the folder away, unless another process holds it. Idempotent, and no matter who made it."""
        if self.folder.is_dir() and self._hold():
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def join(self, tables: Iterator[pa.Table]) -> Iterator[int]:
        """Writes ``tables`` (of one schema) as the file; yields the rows of each piece. Once it has ended the file is there,
        whole. Raises RunFailed."""
        import pyarrow as pa

        aside = self.folder / "whole"
        try:
            file: Any = None
            for table in _regrouped(tables):
                file = file or open_table_file(aside, table.schema, kind=self.out.suffix.lower())
                file.write(table)
                yield table.num_rows
            if file is not None:
                file.close()
                sync_file(aside)
                os.replace(aside, self.out)
                sync_folder(self.out.parent)
        except (OSError, pa.ArrowException) as error:
            raise cannot_write(self.out, error) from error

    def _hold(self) -> bool:
        if self._lock is None:
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(handle, 200, 0)
                os.close(handle)
                return holder == _myself()  # by another object of this process, whose threads end with it
            except OSError:
                pass  # a file system without locks: nothing can be said
            os.ftruncate(handle, 0)
            os.pwrite(handle, _myself(), 0)
            self._lock = handle
        return True


def discard(out: str | None) -> None:
    """Takes away what is left of the parts of the file ``out``, unless somebody writes them now."""
    if out is not None:
        Parts(Path(out)).end()


class PartWriter:
    """One worker's part: tables in order, of which those of bad rows alone lack the columns that others have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._held: list[pa.Table] = []
        self._held_bytes = 0

    def add(self, table: pa.Table) -> None:
        """Raises RunFailed; PeerLost where the worker that leads has given up and removed the parts."""
        self._held.append(table)
        self._held_bytes += table.nbytes
        if self._held_bytes >= _HELD_BYTES:
            self._flush()

    def close(self, *, whole: bool) -> None:
        """``whole``: all rows were added; else the part is given up."""
        if whole:
            self._flush(last=True)
        if self._writer is not None:
            self._writer.close()

    def _flush(self, *, last: bool = False) -> None:
        import pyarrow as pa

        if not self._held:
            return
        schema = max((each.schema for each in self._held), key=len)
        if self._writer is None and len(schema) == 1 and not last:  # what is predicted has no type yet
            self._held = [pa.concat_tables(self._held)]
            return
        try:
            if self._writer is None:
                self._schema = schema
                self._writer = pa.ipc.new_file(self._path, schema)
            whole = pa.concat_tables([_filled_up(table, self._schema) for table in self._held])
            self._writer.write_table(whole.combine_chunks())
        except OSError as error:
            if not self._path.parent.is_dir():
                raise PeerLost("the worker that leads has given the prediction up") from error
            raise cannot_write(self._path, error) from error
        self._held, self._held_bytes = [], 0


def read_parts(paths: list[Path]) -> Iterator[pa.Table]:
    """The tables of several parts in their order, with all the columns that one of them has. Paths may be missing: a worker
    that had no rows has no part."""
    import pyarrow as pa

    files = [pa.ipc.open_file(pa.memory_map(str(path))) for path in paths if path.exists()]
    schema = max((file.schema for file in files), key=len)
    for file in files:
        for i in range(file.num_record_batches):
            yield _filled_up(pa.Table.from_batches([file.get_batch(i)]), schema)


def cannot_write(path: Path, error: Exception) -> RunFailed:
    reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
    return RunFailed(f"cannot write {path.name}: {reason}", where=str(path), help="free the disk or mend its permissions")


def _myself() -> bytes:
    return f"process {os.getpid()} on {socket.gethostname()}".encode()


def _filled_up(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    if table.schema == schema:
        return table
    columns = [
        table.column(field.name) if field.name in table.column_names else pa.nulls(len(table), field.type) for field in schema
    ]
    return pa.table(columns, schema=schema)


def _regrouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, ``GROUP_ROWS`` at a time: what is written does not depend on where the parts end."""
    import pyarrow as pa

    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        held.append(table)
        rows += len(table)
        if rows >= GROUP_ROWS:
            whole = pa.concat_tables(held)
            for first in range(0, rows - GROUP_ROWS + 1, GROUP_ROWS):
                yield whole.slice(first, GROUP_ROWS).combine_chunks()
            held, rows = [whole.slice(rows - rows % GROUP_ROWS)], rows % GROUP_ROWS
    if rows:
        yield pa.concat_tables(held).combine_chunks()
