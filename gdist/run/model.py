"""The trained model's file: safetensors by ``state_dict()`` names, loaded into a module with every difference named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gdist.errors import CheckpointError
from gdist.run.tensors import read_tensors, weights_sha256

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["load_into", "read_model", "weights_sha256"]

_SHOWN = 4  # names of each kind that a message lists


def read_model(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a model file by name, or of the run folder that holds one. Raises CheckpointError."""
    path = Path(path)
    return read_tensors(path / "model.safetensors" if path.is_dir() else path)[0]


def load_into(module: nn.Module, path: str | Path) -> None:
    """Loads ``path`` into ``module``. Raises CheckpointError that names what is missing, left over or of another shape;
    the module is unchanged then."""
    import torch

    found = read_model(path)
    wanted = module.state_dict()
    problems = [
        *_listed("not in the file", [name for name in wanted if name not in found]),
        *_listed("not in the model", [name for name in found if name not in wanted]),
        *_listed(
            "of another shape",
            [
                f"{name} ({_shape(found[name])} in the file, {_shape(wanted[name])} in the model)"
                for name in wanted
                if name in found and _shape(found[name]) != _shape(wanted[name])
            ],
        ),
    ]
    if problems:
        help = "build the model with the arguments that the file was made with"
        raise CheckpointError("the file's weights are another model's", where=str(path), note="; ".join(problems), help=help)
    with torch.no_grad():
        module.load_state_dict(found)


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "scalar"


def _listed(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{what}: {', '.join(names[:_SHOWN])}{more}"]
