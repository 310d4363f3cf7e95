"""The ledger's lines, and which of them count after a run went back or lost a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gdist.errors import RunFailed
from gdist.run.ledger import STAMP, STEP, Entry, read_ledger, to_lines
from gdist.run.lines import append_lines


def entry(step: int, *, epoch: int = 1, applied: bool = True, bad: int = 0, stamp: int = 2**64 - 3) -> Entry:
    """A step of one pass over four positions."""
    reads = [4 * step - 4, 4 * step, stamp >> 32, stamp % 2**32, 4 - bad, bad]
    return step, epoch, applied, np.array([reads], dtype=np.float64)


def written(path: Path, *lines: dict[str, Any]) -> Path:
    append_lines(path / "ledger.jsonl", lines)
    return path / "ledger.jsonl"


def lines(*entries: Entry, generation: int = 1, repeated: bool = False) -> list[dict[str, Any]]:
    return list(to_lines(entries, generation=generation, repeated=repeated))


def test_a_line_holds_the_steps_of_an_epoch_and_comes_back_as_it_was(tmp_path: Path) -> None:
    told = lines(entry(1), entry(2, applied=False), entry(3, epoch=2, bad=1))
    assert told == [
        {"generation": 1, "epoch": 1, "spans": [[1, 0, 4, 2**64 - 3], [2, 4, 8, 2**64 - 3]], "unapplied": [2]},
        {"generation": 1, "epoch": 2, "spans": [[3, 8, 12, 2**64 - 3, 3, 1]]},
    ]
    ledger = read_ledger(written(tmp_path, *told))
    assert ledger.spans[1].tolist() == [[1, 0, 4, 2**64 - 3, 4, 0], [2, 4, 8, 2**64 - 3, 4, 0]]
    assert ledger.spans[2].tolist() == [[3, 8, 12, 2**64 - 3, 3, 1]]
    assert (set(ledger.unapplied), ledger.last_step, len(ledger.rolled_back)) == ({2}, 3, 0)


def test_what_a_higher_generation_takes_again_was_rolled_back(tmp_path: Path) -> None:
    first = lines(*(entry(i, stamp=1) for i in range(1, 9)))
    second = lines(*(entry(i, stamp=2) for i in range(4, 6)), generation=2)
    late = lines(entry(9, stamp=1))  # of a worker that was given up
    ledger = read_ledger(written(tmp_path, *first, *second, *late))
    assert ledger.spans[1][:, STEP].tolist() == [1, 2, 3, 4, 5]
    assert ledger.spans[1][:, STAMP].tolist() == [1, 1, 1, 2, 2]
    assert ledger.rolled_back[1][:, STEP].tolist() == [4, 5, 6, 7, 8, 9]


def test_what_another_worker_repeats_counts_where_the_steps_have_no_other(tmp_path: Path) -> None:
    leader = lines(*(entry(i, stamp=1) for i in range(1, 4)))
    survivor = lines(*(entry(i, stamp=2) for i in range(2, 6)), repeated=True)
    ledger = read_ledger(written(tmp_path, *survivor, *leader))
    assert ledger.spans[1][:, STEP].tolist() == [1, 2, 3, 4, 5]
    assert ledger.spans[1][:, STAMP].tolist() == [1, 1, 1, 2, 2]
    assert not ledger.rolled_back


def test_a_step_that_is_written_twice_counts_twice(tmp_path: Path) -> None:
    ledger = read_ledger(written(tmp_path, *lines(entry(1), entry(2)), *lines(entry(2))))
    assert ledger.spans[1][:, STEP].tolist() == [1, 2, 2]


@pytest.mark.parametrize(
    "line",
    [
        {"epoch": 1, "spans": [[1, 0, 4, 9]]},
        {"generation": 1, "epoch": 1, "spans": [[1, 0, 4]]},
        {"generation": 1, "epoch": 1, "spans": [[1, 0, 4, -9]]},
        {"generation": 1, "epoch": 1, "spans": [[1, 4, 4, 9]]},
        {"generation": 1, "epoch": 1, "spans": [[1, 0, 4, "x"]]},
    ],
)
def test_a_line_that_no_run_writes_is_named(line: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as failed:
        read_ledger(written(tmp_path, *lines(entry(1)), line))
    assert failed.value.where is not None
    assert failed.value.where.endswith("ledger.jsonl, line 2")
