"""Errors of CUDA that mean a broken or vanished device: the machine is lost, the job is not to blame."""

from __future__ import annotations

import re

# What the driver and its libraries say. Not: illegal memory access and device-side asserts, which are the doing of kernels.
_BROKEN = re.compile(
    r"uncorrectable|\bECC\b|\bXid\b|unspecified launch failure|launch timed out|fallen off the bus"
    r"|no longer (accessible|available)|hardware stack error|device (is )?lost|NVLink|contained error",
    re.IGNORECASE,
)
_CUDA = re.compile(r"CUDA|cuDNN|cuBLAS|NCCL", re.IGNORECASE)


def broken_device(error: BaseException) -> str | None:
    """What of ``error`` (its causes too) says that the device is broken; None: nothing does."""
    seen: BaseException | None = error
    while seen is not None:
        for line in str(seen).splitlines():
            if _CUDA.search(str(seen)) and _BROKEN.search(line):
                return line.strip()[:300]
        seen = seen.__cause__ or seen.__context__
    return None
