"""Fills memory with a row group: read, decoded, and each row stamped with the file and number that it was read at."""

from __future__ import annotations

from gdist.data.arena import Slot
from gdist.data.decode import Decoder
from gdist.data.identity import stamps
from gdist.data.row_groups import RowGroups

_TOLD = 8  # bad rows that are named


class Reading:
    """Called in several threads at once. ``bad_rows``: the first that were left out, each with its place and why."""

    def __init__(self, groups: RowGroups, decoder: Decoder) -> None:
        self._groups, self._decoder = groups, decoder
        self.bad_rows: list[str] = []

    def __call__(self, number: int, slot: Slot) -> Slot:
        """Fills ``slot`` with row group ``number``. Raises DataError."""
        import numpy as np

        group = self._groups.each[number]
        reader = self._groups.readers[group.file]
        read = reader.read(group.number, self._decoder.columns, skip_bad=self._groups.skip_bad)
        rows, first_row = group.rows, group.first_row
        out = {name: array[:rows] for name, array in slot.tensors.items()}
        self._decoder.decode(read, out, slot.bad[:rows], where=reader.place(group.number), first_row=first_row)
        if read.rows is None:
            slot.stamps[:rows] = stamps(group.file, first_row + np.arange(read.table.num_rows))
        else:  # those that no reader can make out are known by their place alone
            slot.stamps[:rows] = stamps(group.file, first_row + np.arange(rows))
            slot.stamps[read.rows] = stamps(group.file, first_row + read.rows)
        if len(self.bad_rows) < _TOLD:
            for row in np.flatnonzero(slot.bad[:rows])[:_TOLD].tolist():
                why = read.bad.get(row, "values that are missing, not finite or unknown")
                self.bad_rows.append(f"{reader.file.shown}, row {first_row + row}: {why}")
        return slot
