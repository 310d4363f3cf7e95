"""What a worker asks of the machine it runs on, before it trains."""

from __future__ import annotations

import ctypes
import os
import platform

import torch

from gdist.errors import JobError

_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1  # malloc.h
_KEEP_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Lets glibc reuse freed blocks instead of giving each back to the kernel: a wide layer's backward makes a fresh 64 MB
    gradient every step, whose page faults cost 24 of 68 ms. For a process that is ours alone."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)


def set_threads(threads: int) -> None:
    """How many threads torch's kernels use in this process."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def choose_device(wanted: str) -> torch.device:
    """``auto``: a GPU where there is one. Raises JobError for a device that is not here."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise JobError("this machine has no CUDA device", where=f"device={wanted}", help="set device=cpu or device=auto")
    return torch.device("cuda", torch.cuda.current_device())


def be_deterministic() -> None:
    """For exact mode: an operation that has only a non-deterministic kernel raises, and is named."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
