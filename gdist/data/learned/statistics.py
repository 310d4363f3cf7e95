"""One worker's share of the statistics pass, row group by row group, and what the whole says in the end.

What has a fixed shape (moments) is merged along the engine's tree; counts by value and trouble are united by value. So nothing
depends on who read which row group. Rows that the job leaves out are not learned from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gdist.data.learned import moments
from gdist.data.learned.codes import plain
from gdist.data.learned.counts import Counts
from gdist.data.learned.gaps import by_rows, extremes, not_finite
from gdist.data.learned.median import Median
from gdist.data.learned.place import row_number
from gdist.data.learned.recipe import Recipe, Rule
from gdist.data.learned.trouble import Trouble
from gdist.data.learned.values import Flat, flatten, mask, to_arrow, whole

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class TrainingRows(Protocol):
    """What is learned from: the training rows of a table, row group by row group."""

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def groups(self) -> Sequence[Any]:
        """One a row group, over all files, in their order."""

    def read_group(self, i: int, columns: Sequence[str]) -> tuple[pa.Table, str, int | np.ndarray]:
        """(training rows only, where they stand for an error, the number in the file of the first row or of each row)."""


class Share:
    """What one worker learns of its row groups."""

    def __init__(self, recipe: Recipe, *, skip_bad: bool = False) -> None:
        self.rules = [recipe.rules[name] for name in recipe.columns]
        self.trouble = Trouble()
        self._skip_bad = skip_bad
        self._numbers = [rule for rule in self.rules if rule.kind == "number"]
        self.elements = sum(rule.width for rule in self._numbers)
        self._counts: dict[str, list[Counts | Median]] = {
            rule.name: [Median() if rule.fill == "median" else Counts() for _ in range(rule.width)]
            for rule in self.rules
            if rule.kind == "category" or rule.fill in ("median", "most_frequent")
        }

    def contribute(self, table: pa.Table, *, part: int, where: str, first_row: int | np.ndarray) -> dict[str, np.ndarray]:
        """The moments of a row group's numbers, each of shape (elements,); counts and trouble are kept here."""
        import numpy as np

        arrays = {rule.name: whole(table.column(rule.name)) for rule in self.rules}
        flats = {rule.name: flatten(arrays[rule.name]) for rule in self._numbers}
        ends = {name: extremes(flat.values) for name, flat in flats.items() if flat.missing is None and len(flat.values)}
        out: np.ndarray | None = None
        for rule in self.rules:
            if rule.kind == "number":
                flats[rule.name], bad = self._gaps(
                    rule, flats[rule.name], ends.get(rule.name), part=part, where=where, first_row=first_row
                )
            else:
                arrays[rule.name] = plain(arrays[rule.name])
                bad = self._absent(rule, arrays[rule.name], part=part, where=where, first_row=first_row)
            if bad is not None:
                out = bad if out is None else out | bad
        found = moments.neutral(self.elements)
        at = 0
        for rule in self._numbers:
            values, missing, _, width = flats[rule.name]
            if out is not None:
                kept = ~out if width == 1 else np.repeat(~out, width)
                values, missing = values[kept], None if missing is None else missing[kept]
            moments.add_column(found, at, values, missing, width, ends.get(rule.name) if out is None else None)
            at += width
            for j, counts in enumerate(self._counts.get(rule.name, ())):
                of_element, gaps = values[j::width], None if missing is None else missing[j::width]
                counts.add(to_arrow(of_element if gaps is None else of_element[~gaps]))
        for rule in self.rules:
            if rule.kind == "category":
                kept_rows = arrays[rule.name] if out is None else arrays[rule.name].filter(to_arrow(~out))
                self._counts[rule.name][0].add(kept_rows.drop_null())
        return found

    def to_bytes(self) -> bytes:
        """Counts and trouble for the other workers: a line of JSON, then Arrow tables."""
        import pyarrow as pa

        bodies, head = [], []
        for name, of_elements in self._counts.items():
            for j, counts in enumerate(of_elements):
                table = counts.table()
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, table.schema) as writer:
                    writer.write_table(table)
                bodies.append(sink.getvalue().to_pybytes())
                head.append([name, j, counts.coarse, counts.overflow, len(bodies[-1])])
        trouble = self.trouble.to_bytes().decode()
        return b"".join([json.dumps({"counts": head, "trouble": trouble}).encode(), b"\n", *bodies])

    def united(self, every: Iterable[bytes]) -> dict[str, list[Counts | Median]]:
        """The counts of all workers by column and element. Raises DataError for the trouble that any of them had."""
        import pyarrow as pa

        total = {name: [type(counts)() for counts in each] for name, each in self._counts.items()}
        troubles = []
        for content in every:
            line, _, body = content.partition(b"\n")
            head = json.loads(line)
            troubles.append(head["trouble"].encode())
            start = 0
            for name, j, coarse, overflow, size in head["counts"]:
                counts = total[name][j]
                counts.unite(pa.ipc.open_stream(body[start : start + size]).read_all(), coarse=coarse)
                counts.overflow |= overflow
                start += size
        trouble = Trouble.united(troubles)
        for name, of_elements in total.items():
            for counts in of_elements:
                counts.table()
                if counts.overflow:
                    trouble.overflow(name)
        trouble.raise_if_any()
        return total

    def _gaps(
        self, rule: Rule, flat: Flat, ends: tuple[float, float] | None, *, part: int, where: str, first_row: int | np.ndarray
    ) -> tuple[Flat, np.ndarray | None]:
        """The column with all that is missing in it (NaN too, where it is filled), and the rows not to learn from."""
        import numpy as np

        missing, unclean = flat.missing, not_finite(flat.values, flat.missing, ends)
        bad: np.ndarray | None = None
        if unclean is not None:
            nan = unclean & np.isnan(flat.values)
            infinite = unclean & ~nan
            if rule.fill is not None:
                missing = nan if missing is None else missing | nan
            else:
                bad = self._unusable(rule, "nan", nan, flat.width, part=part, where=where, first_row=first_row)
            worse = self._unusable(rule, "infinite", infinite, flat.width, part=part, where=where, first_row=first_row)
            bad = worse if bad is None else bad if worse is None else bad | worse
        gone = None
        if missing is not None and rule.fill == "drop":
            gone = by_rows(missing, flat.width)
        elif missing is not None and rule.fill is None:
            gone = self._unusable(rule, "missing", missing, flat.width, part=part, where=where, first_row=first_row)
        bad = gone if bad is None else bad if gone is None else bad | gone
        return flat._replace(missing=missing), bad

    def _absent(self, rule: Rule, array: pa.Array, *, part: int, where: str, first_row: int | np.ndarray) -> np.ndarray | None:
        """The rows of a category not to learn from: those dropped, and a target's that is missing."""
        missing = mask(array)
        if missing is None or rule.fill == "drop":
            return missing
        if rule.target and rule.fill is None:
            return self._unusable(rule, "missing", missing, 1, part=part, where=where, first_row=first_row)
        return None

    def _unusable(
        self, rule: Rule, kind: str, found: np.ndarray, width: int, *, part: int, where: str, first_row: int | np.ndarray
    ) -> np.ndarray | None:
        rows = by_rows(found, width)
        if rows is not None and not self._skip_bad:
            row = row_number(first_row, int(rows.argmax()))
            self.trouble.note(rule.name, kind, int(found.sum()), part=part, where=where, row=row)
        return rows


def moments_of(totals: Mapping[str, Any], rules: Iterable[Rule]) -> dict[str, list[dict[str, float]]]:
    """By column, the moments of each of its elements."""
    found, at = {}, 0
    for rule in rules:
        if rule.kind == "number":
            found[rule.name] = [{name: float(totals[name][at + j]) for name in moments.FIELDS} for j in range(rule.width)]
            at += rule.width
    return found
