"""Small map-style datasets for tests: one that a test can hold at a sample, and one that fails at a sample."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import torch
from torch.utils.data import Dataset


class Squares(Dataset[Any]):
    """Sample i is (float i, i squared). Counts what was read; ``fails`` raises, ``held`` waits until it is let go."""

    def __init__(self, n: int = 20, *, fails: int | None = None, held: int | None = None) -> None:
        self.n = n
        self.fails = fails
        self.held = held
        self.read: Counter[int] = Counter()
        self.arrived = threading.Event()
        self.let_go = threading.Event()
        self.threads: set[str] = set()

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        self.threads.add(threading.current_thread().name)
        if i == self.fails:
            raise RuntimeError(f"no file for {i}")
        if i == self.held:
            self.arrived.set()
            assert self.let_go.wait(20)
        self.read[i] += 1
        return torch.full((2,), float(i)), i * i
