"""Where the rows of some micro-batches lie, in words: for whoever has to look at what workers die of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gdist.worker.build import Built

SHOWN = 8


def samples_of(built: Built, step: int, first: int, stop: int) -> list[str]:
    """The rows of the micro-batches [``first``, ``stop``) of ``step`` (from 1), at most ``SHOWN`` of them and how many more."""
    cut = built.engine.plan.cut(step - 1)
    rows = built.feed.rows_at(cut.epoch, cut.bounds[first], cut.bounds[stop])
    places = [built.feed.rows.place(int(row)) for row in rows[:SHOWN]]
    return places + ([f"and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else [])
