"""The files that data.py reads: a table of floats in zstd Parquet, another as CSV, and a corpus of text, all from one seed.

They are made twice: as large as they were asked for, and a sixteenth of that, on which every way to read is warmed up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

SEED = 0
COLUMNS = 64
CSV_COLUMNS = 16
ROW_GROUPS = 65_536  # rows, of 400,000
SMALL = 16
TEXT_BYTES_A_ROW = 160  # 64 MB beside 400,000 rows
BATCH = 256


@dataclass(frozen=True)
class Samples:
    """``rows`` of both tables in ``folder``; ``memory``: bytes for rows, which the Parquet table does not fit into."""

    folder: Path
    rows: int
    memory: int

    @property
    def parquet(self) -> Path:
        return self.folder / "table.parquet"

    @property
    def csv(self) -> Path:
        return self.folder / "table.csv"

    @property
    def text(self) -> Path:
        return self.folder / "corpus.txt"

    @property
    def small(self) -> Samples:
        return Samples(self.folder / "small", self.rows // SMALL, self.memory // SMALL)

    def make(self, *, row_group: int) -> None:
        self.folder.mkdir(parents=True)
        random = np.random.default_rng(SEED)
        numbers = random.standard_normal((COLUMNS, self.rows), dtype=np.float32)
        table = pa.table({f"x{i:02}": numbers[i] for i in range(COLUMNS)})
        pq.write_table(table, self.parquet, compression="zstd", row_group_size=row_group)
        csv.write_csv(table.select(range(CSV_COLUMNS)), self.csv)
        self.text.write_bytes(random.integers(ord(" "), ord("~"), TEXT_BYTES_A_ROW * self.rows, dtype=np.uint8).tobytes())


def make(folder: Path, *, rows: int, memory: int) -> Samples:
    """All files, in the page cache as whoever wrote them leaves them. Raises ValueError for too few rows to be cut up."""
    if rows < 64 * SMALL:
        raise ValueError(f"at least {64 * SMALL} rows")
    samples = Samples(folder, rows, memory)
    row_group = min(ROW_GROUPS, -(-rows * ROW_GROUPS // 400_000))
    samples.make(row_group=row_group)
    samples.small.make(row_group=-(-row_group // SMALL))
    return samples
