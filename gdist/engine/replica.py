"""Everything that is equal on all workers at a step boundary, as named tensors and JSON: what is saved, sent and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gdist.engine.fingerprint import fingerprint
from gdist.engine.precision import Precision
from gdist.errors import CheckpointError


class Keeps(Protocol):
    """A part with state of its own: a moving average of the weights."""

    def state(self) -> dict[str, Tensor]: ...
    def load_state(self, state: dict[str, Tensor]) -> None: ...
    def restart(self) -> None: ...


class Replica:
    """``optimizers`` by phase; ``task_state``/``load_task_state``: what a Task keeps beside its module."""

    def __init__(
        self,
        module: nn.Module,
        optimizers: Mapping[str, torch.optim.Optimizer],
        *,
        precision: Precision,
        averages: Keeps | None = None,
        task: Any = None,
    ) -> None:
        self.module = module
        self.optimizers = optimizers
        self._precision = precision
        self._averages = averages
        self._task = task
        self._names = {id(p): n for n, p in module.named_parameters()}

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers by name, in name order; tied parameters once."""
        named = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        return {name: named[name].detach() for name in sorted(named)}

    def fingerprint(self) -> int:
        """64 bits of the weights."""
        return fingerprint(self.weights().values())

    def save(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """(tensors by file, JSON). Tensors are the live ones: whoever keeps them copies."""
        optimizer: dict[str, Tensor] = {}
        numbers: dict[str, Any] = {}
        for phase, each in self.optimizers.items():
            for parameter, entries in each.state.items():
                for key, value in entries.items():
                    name = f"{phase}/{self._names[id(parameter)]}/{key}"
                    if isinstance(value, Tensor):
                        optimizer[name] = value
                    else:
                        numbers[name] = value
        task_state = self._task.state() if self._task is not None else {}
        files = {"model": self.weights(), "optimizer": optimizer}
        if self._averages is not None:
            files["averages"] = self._averages.state()
        files["task"] = {k: v for k, v in task_state.items() if isinstance(v, Tensor)}
        state = {
            "optimizers": {phase: _kind(each) for phase, each in self.optimizers.items()},
            "optimizer_numbers": numbers,
            "precision": self._precision.state(),
            "task": {k: v for k, v in task_state.items() if not isinstance(v, Tensor)},
        }
        return {name: tensors for name, tensors in files.items() if tensors}, state

    @torch.no_grad()
    def load(self, files: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> list[str]:
        """Takes a saved state over; returns what was left out on purpose, each as a sentence. Raises CheckpointError, with the
        differences, where the weights are another model's."""
        load_weights(self.weights(), files.get("model", {}))
        left = []
        for phase, each in self.optimizers.items():
            kind = state.get("optimizers", {}).get(phase)
            if kind != _kind(each):
                left.append(f"the optimizer is now {_kind(each)}, was {kind}: it starts with fresh state")
                continue
            self._load_optimizer(phase, each, files.get("optimizer", {}), state.get("optimizer_numbers", {}))
        self._precision.load_state(state.get("precision", self._precision.state()))
        if self._averages is not None:
            if "averages" in files:
                self._averages.load_state(dict(files["averages"]))
            else:
                self._averages.restart()
                left.append("the moving average of the weights starts here: the checkpoint has none")
        if self._task is not None:
            self._task.load_state({**files.get("task", {}), **state.get("task", {})})
        return left

    def _load_optimizer(
        self, phase: str, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]
    ) -> None:
        owner = {self._names[id(p)]: p for group in optimizer.param_groups for p in group["params"]}
        for source in (tensors, numbers):
            for name, value in source.items():
                saved_phase, _, rest = name.partition("/")
                parameter, _, key = rest.rpartition("/")
                if saved_phase != phase or parameter not in owner:
                    continue
                target = owner[parameter]
                if isinstance(value, Tensor):
                    on_cpu = key == "step" and not any(g.get("fused") or g.get("capturable") for g in optimizer.param_groups)
                    value = value.clone() if on_cpu else value.to(target.device, copy=True)
                optimizer.state[target][key] = value


def _kind(optimizer: torch.optim.Optimizer) -> str:
    """Its class, and the settings that decide which state it keeps."""
    group = optimizer.param_groups[0]
    return " ".join([type(optimizer).__name__, *(key for key in ("amsgrad", "centered", "momentum") if group.get(key))])


@torch.no_grad()
def load_weights(into: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copies ``saved`` into the tensors of the same names; raises CheckpointError where names or shapes differ."""
    missing = [n for n in into if n not in saved]
    unknown = [n for n in saved if n not in into]
    shapes = [
        f"{n} {tuple(saved[n].shape)} is {tuple(into[n].shape)} here"
        for n in into
        if n in saved and saved[n].shape != into[n].shape
    ]
    if missing or unknown or shapes:
        parts = [
            f"missing: {', '.join(missing[:6])}" if missing else "",
            f"unknown: {', '.join(unknown[:6])}" if unknown else "",
            f"other shape: {'; '.join(shapes[:6])}" if shapes else "",
        ]
        raise CheckpointError(
            "the saved weights are another model's",
            note="; ".join(p for p in parts if p),
            help="use the model that the weights were trained with, or leave init_from out",
        )
    for name, tensor in into.items():
        tensor.copy_(saved[name])
