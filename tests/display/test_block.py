"""The live block at 80 columns, narrow, without Unicode, and before and after the steps."""

from __future__ import annotations

from typing import Any

import pytest

from gdist.display.block import draw, evaluation_row, sparkline
from gdist.display.standing import Standing
from gdist.records import Update
from tests.display.recorded import BEGUN, RUN, at, started, step

WIDE = """\
 digits   epoch 2/20   step 24/240                         2 workers   22 s left
 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  10%
 loss           0.1000   █▄▂▂▂▁▁▁▁▁▁▁   validation loss  0.3981
 gradient norm  1.23                    accuracy         0.8972  best 0.9028
 learning rate  0.003                   samples/s        1,280
"""
NARROW = """\
 digits   epoch 2/20       2 workers   22 s left
 ####--------------------------------------  10%
 loss             0.1000
 gradient norm    1.23
 learning rate    0.003
 validation loss  0.3981
 accuracy         0.8972  best 0.9028
 samples/s        1,280
"""


def shown(updates: list[Update], *, width: int = 80, now: float = 4.4, **how: Any) -> str:
    standing = Standing()
    for update in updates:
        standing.take(update)
    lines = [line.plain.rstrip() for line in draw(standing, width=width, now=BEGUN + now, begun=BEGUN, **how)]
    assert max(map(len, lines)) <= width
    return "\n".join(lines) + "\n"


def test_at_80_columns_the_block_is_two_columns_of_what_matters() -> None:
    assert shown(RUN) == WIDE


def test_a_narrow_terminal_gets_one_column_and_a_poor_one_ascii() -> None:
    assert shown(RUN, width=48, unicode=False) == NARROW


def test_before_the_first_step_it_says_since_when_it_waits() -> None:
    assert shown([], now=1.5) == " getting ready  1.5 s\n"
    assert shown(RUN[:2], now=12.0) == " digits: first step  12 s\n"


def test_without_steps_for_a_while_it_says_so_instead_of_the_time_left() -> None:
    assert "2 workers   no step for 40 s" in shown(RUN, now=44.4).splitlines()[0]


def test_without_a_known_end_there_is_no_share_and_no_time_left() -> None:
    head, bar, *_ = shown([Update(events=[started(total_steps=None, epochs=None)]), *RUN[2:]]).splitlines()
    assert head.startswith(" digits   epoch 2   step 24 ")
    assert head.endswith("2 workers")
    assert "%" not in bar


def test_a_users_own_scalars_and_skipped_steps_are_shown() -> None:
    skipped = {"event": "skipped_step", **at(5.0), "step": 25}
    text = shown([*RUN, Update(lines=[step(25, loss=float("nan"), skipped=True, log={"entropy": 0.5})], events=[skipped])])
    assert "entropy        0.5000" in text
    assert "skipped steps    1" in text
    assert "loss           0.1000" in text


def test_what_was_asked_for_is_the_last_line() -> None:
    assert shown(RUN, note="stopping at the next step").splitlines()[-1] == " stopping at the next step"
    stopping = {"event": "stopping", **at(5.0), "step": 24, "reason": "validation.loss has not improved", "by": "job"}
    assert shown([*RUN, Update(events=[stopping])]).splitlines()[-1] == " ending: validation.loss has not improved"


def test_an_evaluation_row_marks_the_best_and_leaves_out_what_has_no_room() -> None:
    standing = Standing()
    for update in RUN[:4]:
        standing.take(update)
    assert standing.evaluated is not None
    row = evaluation_row(standing.evaluated, standing, width=80)
    assert row == " epoch  1  step  12  loss 0.6713    validation loss 0.4120*  accuracy 0.9028*"
    assert evaluation_row(standing.evaluated, standing, width=60) == row[: row.index("  accuracy")].rstrip()


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([4.0, 3.0, 2.0, 1.0], "█▇▅▃"),
        ([1.0] * 4, "████"),
        ([1.0, float("nan"), 0.0], "█▁"),
        ([-1.0, 1.0], "▁█"),
        ([0.0, 0.0], "▁▁"),
        ([1.0], ""),
    ],
)
def test_a_curve_has_its_zero_at_the_bottom(values: list[float], line: str) -> None:
    assert sparkline(values, 4) == line
