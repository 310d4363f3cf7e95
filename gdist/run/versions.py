"""The versions a run is made with, found without importing the packages."""

from __future__ import annotations

import importlib.metadata
import platform

PACKAGES = ("gdist", "torch", "numpy", "pyarrow", "ray", "pydantic", "safetensors", "torchmetrics")


def versions() -> dict[str, str]:
    """Package to version, with Python and the platform; a package that is not installed is left out."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
