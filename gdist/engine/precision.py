"""In which dtype a step computes. Parameters and optimizer state stay float32 (float64 for ``fp64``) in every mode."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

Name = Literal["fp32", "bf16", "fp16", "fp64"]

GROWTH_INTERVAL = 2000  # steps without overflow before the scale doubles, as torch.amp.GradScaler
LARGEST_SCALE = 2.0**24


class Precision:
    """``fp32``, ``fp64``: the dtype of the parameters is the dtype of the computation. ``bf16``, ``fp16``: autocast.

    ``scale`` multiplies the loss before backward (fp16 only, Micikevicius et al. 2018) and is divided out of the reduced
    gradient; ``learn`` halves it after an overflow and doubles it after 2,000 good steps. Its decisions come from the reduced
    gradient and are therefore the same on every worker.
    """

    def __init__(self, name: Name, device: torch.device) -> None:
        self.name = name
        self.dtype = torch.float64 if name == "fp64" else torch.float32
        self.scale = 65536.0 if name == "fp16" else 1.0
        self._good_steps = 0
        self._device = device.type
        self._compute = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name)

    @property
    def scales(self) -> bool:
        return self.name == "fp16"

    def autocast(self) -> AbstractContextManager[Any]:
        if self._compute is None:
            return nullcontext()
        return torch.autocast(self._device, dtype=self._compute)

    def learn(self, *, finite: bool) -> None:
        if not self.scales:
            return
        if not finite:
            self.scale, self._good_steps = max(self.scale / 2, 1.0), 0
            return
        self._good_steps += 1
        if self._good_steps >= GROWTH_INTERVAL:
            self.scale, self._good_steps = min(self.scale * 2, LARGEST_SCALE), 0

    def state(self) -> dict[str, float]:
        return {"scale": self.scale, "good_steps": self._good_steps}

    def load_state(self, state: dict[str, float]) -> None:
        self.scale, self._good_steps = float(state["scale"]), int(state["good_steps"])
