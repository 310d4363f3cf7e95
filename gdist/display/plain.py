"""Plain lines, for logs and for terminals without a cursor: at most one every 10 s or 10 %, and what happened.

digits: 36,394 parameters, 1,437 samples (+360 to validate), 240 steps in 20 epochs -> runs/digits
step 24/240  10%  epoch 2/20  loss 0.6713  gradient norm 1.04  lr 0.005  8,214 samples/s  2 workers  6.2 s left
step 24/240  training loss 0.9120  validation loss 0.4120  accuracy 0.9028
"""

from __future__ import annotations

import sys
import time
from typing import TextIO

from gdist.display import words
from gdist.display.sentences import label, people, row_words, told
from gdist.display.standing import Evaluated, Standing
from gdist.records import Update

EVERY_S = 10.0
EVERY_SHARE = 0.1
EVALUATION_EVERY_S = 1.0  # a run that evaluates each millisecond does not flood a log


class PlainDisplay:
    """Writes lines to ``stream`` (None: standard output)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.standing = Standing()
        self._stream = stream or sys.stdout
        self._step_at = 0.0  # monotonic s of the last line of its kind
        self._step_share = 0.0
        self._evaluation_at = 0.0
        self._waiting: Evaluated | None = None  # an evaluation that came too soon after another

    def __call__(self, update: Update) -> None:
        for text in update.output:
            self._print(text)
        for _, text in told(update, self.standing):
            self._print(text)
        under_way = self.standing.step > self.standing.begun_at or 0 < self.standing.rows < (self.standing.rows_of or 0)
        if under_way and self._is_due():
            self._step_at, self._step_share = time.monotonic(), self.standing.share_done or 0.0
            self._print(step_words(self.standing) if self.standing.rows_of is None else row_words(self.standing))
        if any(line.get("kind") == "evaluation" for line in update.lines):
            self._waiting = self.standing.evaluated
            if time.monotonic() - self._evaluation_at >= EVALUATION_EVERY_S:
                self._say_evaluation()

    def say(self, text: str) -> None:
        self._print(text)

    def close(self) -> None:
        """Says the last evaluation, if it has been kept back. Idempotent."""
        self._say_evaluation()

    def _is_due(self) -> bool:
        if time.monotonic() - self._step_at >= EVERY_S:
            return True
        return (self.standing.share_done or 0.0) - self._step_share >= EVERY_SHARE

    def _say_evaluation(self) -> None:
        if self._waiting is not None:
            self._print(evaluation_words(self._waiting, self.standing))
            self._waiting, self._evaluation_at = None, time.monotonic()

    def _print(self, text: str) -> None:
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # the reader went away: the run goes on


def step_words(standing: Standing) -> str:
    """Where the run stands, as one line."""
    parts = [f"step {words.of(standing.step, standing.total_steps)}"]
    if standing.share_done is not None:
        parts.append(f"{standing.share_done:.0%}")
    parts += [f"epoch {words.of(standing.epoch, standing.epochs)}", f"loss {words.number(standing.loss)}"]
    parts += [f"gradient norm {words.rate(standing.grad_norm)}", f"lr {words.rate(standing.lr)}"]
    if (pace := standing.samples_per_s()) is not None:
        parts.append(f"{words.count(pace)} samples/s")
    parts.append(people(standing))
    if (left := standing.seconds_left()) is not None:
        parts.append(f"{words.duration(left)} left")
    return "  ".join(parts)


def evaluation_words(found: Evaluated, standing: Standing) -> str:
    """An evaluation as one line."""
    parts = [f"step {words.of(found.step, standing.total_steps)}"]
    parts += [f"training {name} {words.number(value)}" for name, value in found.train.items()]
    parts += [f"{label(name)} {words.number(value)}" for name, value in found.validation.items()]
    return "  ".join(parts)
