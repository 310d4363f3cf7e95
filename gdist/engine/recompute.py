"""Activation checkpointing: forget a block's activations after forward and compute them again in backward
(Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"). Non-reentrant, with the random state kept."""

from __future__ import annotations

import difflib
import types
from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from gdist.errors import JobError


def recompute(module: nn.Module, what: str | Sequence[str]) -> list[str]:
    """Applies to ``what``: "none", "blocks" (the members of every outermost ModuleList or Sequential), or module names.
    Returns the names of the modules that will be computed again; raises JobError for a name that is not there."""
    if what == "none":
        return []
    names = _blocks(module) if what == "blocks" else list(what)
    known = dict(module.named_modules())
    for name in names:
        if name not in known or not name:
            near = difflib.get_close_matches(name, [n for n in known if n], n=1)
            raise JobError(
                f"the model has no module {name!r}",
                where="recompute",
                help=f"did you mean {near[0]!r}?" if near else f"modules: {', '.join([n for n in known if n][:12])}",
            )
        _wrap(known[name])
    if not names:
        raise JobError(
            "recompute='blocks' found no blocks: the model has no ModuleList or Sequential",
            where="recompute",
            help="name the modules: recompute=['encoder', 'decoder']",
        )
    return names


def _blocks(module: nn.Module, prefix: str = "") -> list[str]:
    names: list[str] = []
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, nn.ModuleList | nn.Sequential):
            names += [f"{path}.{inner}" for inner, block in child.named_children() if any(True for _ in block.parameters())]
        else:
            names += _blocks(child, f"{path}.")
    if isinstance(module, nn.Sequential) and not prefix:
        return [name for name, block in module.named_children() if any(True for _ in block.parameters())]
    return names


def _wrap(module: nn.Module) -> None:
    inner = module.forward

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if not self.training:
            return inner(*args, **kwargs)
        return checkpoint(inner, *args, use_reentrant=False, preserve_rng_state=True, **kwargs)

    module.forward = types.MethodType(forward, module)
