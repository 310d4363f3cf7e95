"""What is shown while a trained run is put to use, and at its end."""

from __future__ import annotations

import io
from typing import Any

from gdist.display.answer import answer
from gdist.display.block import draw
from gdist.display.plain import PlainDisplay
from gdist.display.standing import Standing
from gdist.records import Update, event

OPENED = event(
    "opened", purpose="predict", run="digits", run_dir="runs/digits", weights="model.safetensors", data="new.parquet",
    samples=2000, workers=2,
)  # fmt: skip
RESULT: dict[str, Any] = {
    "status": "done", "purpose": "predict", "run": "digits", "weights": "model.safetensors", "data": "new.parquet",
    "rows": 2000, "bad": 3, "out": "p.parquet", "columns": ["row", "prediction"], "workers": 2, "wall_seconds": 4.0,
}  # fmt: skip


def progress(rows: int, time: float) -> Update:
    return Update(lines=[{"kind": "progress", "rows": rows, "samples": 2000, "workers": 2, "time": time}])


def test_lines_say_how_far_it_is() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display(Update(events=[OPENED]))
    for rows, time in ((500, 1.0), (600, 1.5), (1000, 2.0), (2000, 4.0)):
        display(progress(rows, time))
    display.close()
    assert stream.getvalue().splitlines() == [
        "digits by model.safetensors, on new.parquet: 2,000 rows",
        "500 of 2,000 rows  25%  2 workers",
        "1,000 of 2,000 rows  50%  500 rows/s  2 workers  2.0 s left",
    ]


def test_the_block_has_a_bar() -> None:
    standing = Standing()
    standing.take(Update(events=[OPENED]))
    standing.take(progress(500, 1.0))
    standing.take(progress(1000, 2.0))
    lines = [str(line) for line in draw(standing, width=60, now=2.0, begun=0.0, unicode=False)]
    assert lines[0] == " 1,000 of 2,000 rows  50%  500 rows/s  2 workers  2.0 s left"
    assert lines[1].count("#") == lines[1].count("-")
    assert standing.began


def test_the_end_says_on_what_by_what_and_where_it_lies() -> None:
    assert answer(RESULT) == [
        "", "digits wrote p.parquet", "",
        "  rows             2,000 (3 bad ones without a prediction), of new.parquet",
        "  weights          model.safetensors",
        "  columns          row, prediction",
        "  time             4.0 s with 2 workers",
    ]  # fmt: skip
    evaluated = {name: value for name, value in RESULT.items() if name not in ("out", "columns")}
    lines = answer({**evaluated, "metrics": {"loss": 0.25, "top5_accuracy": 1.0}, "data": "the test rows"})
    assert lines[1:6] == [
        "digits was evaluated", "", "  loss             0.2500", "  top5 accuracy    1.0000",
        "  rows             2,000 (3 bad ones left out), the test rows",
    ]  # fmt: skip
    assert answer({"status": "stopped", "reason": "interrupted"}) == ["", "interrupted; nothing was written"]
