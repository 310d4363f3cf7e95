"""Named tensors as one safetensors file, each storage once.

safetensors refuses two names for the same memory (tied weights). The first name in order is stored, the others are recorded
in the file's metadata as ``gdist.aliases`` (JSON, alias -> stored name), and reading gives all names back.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.durable import sync_file, sync_folder
from gdist.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

ALIASES = "gdist.aliases"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes ``tensors`` to ``path``, whole or not at all, durably. Raises CheckpointError if it cannot."""
    from safetensors.torch import save_file

    stored, aliases = without_aliases(tensors)
    words = {"format": "pt", **(metadata or {}), **({ALIASES: json.dumps(aliases)} if aliases else {})}
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        save_file({name: _own(tensor) for name, tensor in stored.items()}, aside, metadata=words)
        sync_file(aside)
        os.replace(aside, path)
        sync_folder(path.parent)
    except Exception as error:  # safetensors raises its own kinds on a full disk
        aside.unlink(missing_ok=True)
        raise CheckpointError(f"cannot write {path.name}: {error}", where=str(path), help="free the disk or mend it") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All names with their tensors (aliases share one tensor), and the metadata. Raises CheckpointError naming the file."""
    tensors, metadata = read_stored(path)
    for alias, name in json.loads(metadata.pop(ALIASES, "{}")).items():
        tensors[alias] = tensors[name]
    return tensors, metadata


def read_stored(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by the names that are stored, and the metadata as it is. Raises CheckpointError naming the file."""
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise CheckpointError(f"there is no {path.name}", where=str(path), help="is it the right folder?") from None
    except Exception as error:  # safetensors raises its own kinds on a broken file
        help = "the file is truncated or altered: take another copy, or an older checkpoint"
        raise CheckpointError(f"{path.name} cannot be read: {error}", where=str(path), help=help) from error
    return tensors, metadata


def without_aliases(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by the first name of each memory, and alias -> that name."""
    stored: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[Any, str] = {}
    for name, tensor in tensors.items():
        view = (
            (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()) if tensor.numel() else name
        )
        if view in seen:
            aliases[name] = seen[view]
        else:
            seen[view] = name
            stored[name] = tensor
    return stored, aliases


def weights_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the raw bytes of contiguous CPU copies, in the order of the names (aliases count each time)."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(_bytes(tensors[name]))
    return digest.hexdigest()


def _own(tensor: Tensor) -> Tensor:
    """``tensor`` on the CPU, dense, and in no memory that another name's view overlaps."""
    tensor = tensor.detach().to("cpu").contiguous()
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.clone()


def _bytes(tensor: Tensor) -> memoryview:
    import torch

    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
