"""Each micro-batch's own random numbers: a stream seeded from (seed, step, phase, micro-batch), whoever computes it."""

from __future__ import annotations

import torch

_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """63 well-mixed bits of some integers (splitmix64's finalizer, applied to each in turn)."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1


class Streams:
    """Seeds torch's generators (CPU's, and the device's) for one pass. Python's and NumPy's are left alone: random numbers
    of a model or loss come from torch."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = seed
        self._generators = [torch.default_generator]
        if device.type == "cuda":
            self._generators.append(torch.cuda.default_generators[device.index or 0])

    def begin(self, *, step: int, phase: int, micro_batch: int) -> None:
        seed = mix(self._seed, step, phase, micro_batch)
        for generator in self._generators:
            generator.manual_seed(seed)
