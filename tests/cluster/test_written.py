"""What is said again by workers stands in the folder once; what comes before its time is asked for again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gdist.cluster.written import Written
from gdist.records import Update, event
from gdist.run.folder import RunFolder


def steps(first: int, last: int, *, generation: int = 1) -> Update:
    return Update(lines=[line(step, generation) for step in range(first, last + 1)])


def line(step: int, generation: int) -> dict[str, Any]:
    return {"kind": "step", "step": step, "generation": generation, "time": 0.0}


def numbers(update: Update) -> list[int]:
    return [each["step"] for each in update.lines]


def test_lines_of_a_survivor_that_repeats_its_dead_leader_are_taken_once() -> None:
    written = Written()
    assert numbers(written.new(steps(1, 5))) == [1, 2, 3, 4, 5]
    assert numbers(written.new(steps(3, 7))) == [6, 7]
    assert written.step == 7


def test_lines_of_a_run_that_went_back_count_anew() -> None:
    written = Written()
    written.new(steps(1, 9))
    assert numbers(written.new(steps(6, 7, generation=2))) == [6, 7]
    assert written.step == 7


def test_what_was_told_to_a_dead_controller_is_asked_for_again() -> None:
    written = Written()
    written.new(steps(1, 4))
    early = written.new(steps(8, 9))
    assert (early.lines, written.gaps, written.step) == ([], 1, 4)
    assert numbers(written.new(steps(5, 12))) == list(range(5, 13))


def test_what_nobody_remembers_is_not_waited_for_for_ever() -> None:
    written = Written()
    written.new(steps(1, 4))
    assert numbers(written.new(steps(8, 9, generation=2))) == []
    assert numbers(written.new(steps(8, 9, generation=2))) == [8, 9]


def test_events_are_told_apart_by_what_they_say() -> None:
    written = Written()
    first = Update(events=[event("generation", generation=2, step=7), event("checkpoint", step=7, path="a")])
    again = Update(events=[event("generation", generation=2, step=7), event("checkpoint", step=8, path="b")])
    assert len(written.new(first).events) == 2
    assert [each["event"] for each in written.new(again).events] == ["checkpoint"]


def test_a_new_controller_knows_what_the_folder_holds(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_metrics([line(step, 1) for step in range(1, 6)])
    folder.append_events([event("first_step", step=1)])
    written = Written()
    events, lines = written.recall(tmp_path)
    assert (len(events), len(lines), written.step) == (1, 5, 5)
    assert written.new(Update(events=[event("first_step", step=1)])).events == []
    assert numbers(written.new(steps(4, 6))) == [6]


def test_a_line_without_its_end_is_not_written_the_next_writer_cuts_it_off(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_metrics(steps(1, 3).lines)
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-1])  # all of the last one but its newline: the controller died over it
    written = Written()
    written.recall(tmp_path)
    assert written.step == 2
    folder.append_metrics(written.new(steps(3, 4)).lines)
    assert [each["step"] for each in folder.metrics()] == [1, 2, 3, 4]
