"""The live block as text: a function of what is known, of the width and of the time.

     digits   epoch 3/20   step 30/240                    2 workers   1m12s left
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 12%
     loss           0.4231    ▇▆▅▄▃▃▂▂▂▁▁▁   validation loss  0.3981
     gradient norm  1.23                     accuracy         0.9712  best 0.9733
     learning rate  0.0029                   samples/s        12,340

Columns are dropped in a fixed order when it is narrow, never wrapped.
"""

from __future__ import annotations

import itertools

from rich.text import Text

from gdist.display import words
from gdist.display.changes import paused, under_way
from gdist.display.sentences import label, people, row_words
from gdist.display.standing import Evaluated, Standing

QUIET_S = 5.0  # without a step, after which the block says so
_LEFT = 40  # columns of the left half
_CURVE = 12
_BLOCKS = "▁▂▃▄▅▆▇█"


def draw(
    standing: Standing, *, width: int, now: float, begun: float, note: str | None = None, unicode: bool = True
) -> list[Text]:
    """The block's lines, each at most ``width`` columns. ``now``, ``begun`` (of the command): wall clock, s."""
    if standing.rows_of is not None:
        lines = [Text(f" {row_words(standing)}"), _bar(standing.share_done, width, unicode)]
    elif standing.step <= standing.begun_at:
        what = "getting ready" if standing.run is None else f"{standing.run}: first step"
        lines = [Text(f" {what}  {words.duration(now - begun)}", style="dim")]
    else:
        lines = [_head(standing, width, now), _bar(standing.share_done, width, unicode), *_cells(standing, width, unicode)]
    lines += [Text(f" {line}", style="yellow") for line in under_way(standing.members, now=now)]
    if note or standing.stopping:
        lines.append(Text(f" {note or f'ending: {standing.stopping}'}", style="yellow"))
    for line in lines:
        line.truncate(width, overflow="ellipsis" if unicode else "crop")
    return lines


def evaluation_row(found: Evaluated, standing: Standing, *, width: int) -> str:
    """An evaluation as a row whose columns line up from one to the next; ``*`` marks the best so far."""
    epoch = f" epoch {found.epoch:>{len(str(standing.epochs or 0))}}"
    row = f"{epoch}  step {found.step:>{len(str(standing.total_steps or 0))}}"
    cells = [f"  {name} {words.number(value):<8}" for name, value in found.train.items()]
    for name, value in found.validation.items():
        best = standing.best.get(name, (None, 0))[1] == found.epoch
        cells.append(f"  {label(name)} {words.number(value)}{'*' if best else ' '}")
    for cell in cells:
        if len(row) + len(cell.rstrip()) <= width:
            row += cell
    return row.rstrip()


def sparkline(values: list[float], cells: int) -> str:
    """``values`` averaged into ``cells``, on a scale from 0 (from the smallest, where one is negative) to the largest."""
    known = [each for each in values if each - each == 0]
    cells = min(cells, len(known))
    if cells < 2:
        return ""
    bounds = [i * len(known) // cells for i in range(cells + 1)]
    means = [sum(known[a:b]) / (b - a) for a, b in itertools.pairwise(bounds)]
    low, high = min(0.0, *means), max(means)
    if high <= low:
        return _BLOCKS[0] * cells
    return "".join(_BLOCKS[min(7, int((each - low) / (high - low) * 8))] for each in means)


def _head(standing: Standing, width: int, now: float) -> Text:
    quiet = now - standing.last_step_time if standing.last_step_time else 0.0
    left = standing.seconds_left()
    end = people(standing)
    if quiet > QUIET_S:
        end += f"   no step for {words.duration(quiet)}"
    elif left is not None:
        end += f"   {words.duration(left)} left"
    head = Text(f" {standing.run or ''}", style="bold")
    for part in (f"epoch {words.of(standing.epoch, standing.epochs)}", f"step {words.of(standing.step, standing.total_steps)}"):
        if len(head) + len(part) + 4 + len(end) <= width:
            head.append(f"   {part}", style="not bold")
    head.truncate(max(0, width - len(end) - 1), overflow="crop")
    head.append(" " * max(1, width - len(head) - len(end)), style="not bold")
    return head.append(end, style="not bold yellow" if quiet > QUIET_S else "not bold")


def _bar(share: float | None, width: int, unicode: bool) -> Text:
    end = f" {share:4.0%}" if share is not None else ""
    room = width - 1 - len(end)
    full = int(room * (share or 0.0))
    done, rest = ("━", "━") if unicode else ("#", "-")
    return Text(" ").append(done * full, style="green").append(rest * (room - full), style="bright_black").append(end)


def _cells(standing: Standing, width: int, unicode: bool) -> list[Text]:
    """Two columns of name and value: what the steps say, what validation and the clock say."""
    left = [("loss", words.number(standing.loss))]
    if unicode:
        left = [("loss", f"{words.number(standing.loss):<8} {sparkline(standing.curve, _CURVE)}")]
    left += [("gradient norm", words.rate(standing.grad_norm)), ("learning rate", words.rate(standing.lr))]
    left += [(name, words.number(value)) for name, value in list(standing.log.items())[:3]]
    right: list[tuple[str, str]] = []
    for name, value in list(standing.evaluated.validation.items() if standing.evaluated else ())[:4]:
        best, _ = standing.best.get(name, (value, 0))
        right.append((label(name), words.number(value) + (f"  best {words.number(best)}" if best != value else "")))
    right.append(("samples/s", words.count(standing.samples_per_s())))
    if standing.members.changes:
        right.append(
            ("generation", "  ".join(filter(None, (str(standing.members.generation), paused(standing.members.pause_s)))))
        )
    if standing.skipped:
        right.append(("skipped steps", str(standing.skipped)))
    return _table(left, right) if width >= 2 * _LEFT - 8 else _table(left + right, [])


def _table(left: list[tuple[str, str]], right: list[tuple[str, str]]) -> list[Text]:
    lines = []
    for i in range(max(len(left), len(right))):
        line = Text()
        for column, start in ((left, 1), (right, _LEFT)):
            if i < len(column):
                name, value = column[i]
                indent = max(len(each) for each, _ in column)
                line.append(" " * max(1, start - len(line))).append(f"{name:<{indent}}  ", style="dim").append(value)
        lines.append(line)
    return lines
