"""Numbers and paths in few letters, alike in all displays."""

from __future__ import annotations

import math
import os


def number(value: float | None) -> str:
    """A loss or a metric: five significant digits at most; `-` if unknown."""
    if value is None:
        return "-"
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-3 <= size < 1e5:
        return f"{value:.4f}" if size < 10 else f"{value:.5g}"
    return f"{value:.3e}"


def rate(value: float | None) -> str:
    """A learning rate or a norm: three significant digits."""
    if value is None:
        return "-"
    return f"{float(value):.3g}"


def count(value: float | None) -> str:
    """A whole number with separators; one decimal below ten."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def duration(seconds: float | None) -> str:
    """`0.3 s`, `42 s`, `3m12s`, `2h05m`, `3d04h`."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def size(value: float) -> str:
    """Bytes in the unit that leaves one to three digits before the point."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def of(part: int | None, whole: int | None) -> str:
    """`3/20`, `3` without an end, `-` if unknown."""
    if part is None:
        return "-"
    return f"{part}/{whole}" if whole else str(part)


def plural(many: int, noun: str) -> str:
    return f"{many:,} {noun}" + ("" if many == 1 else "s")


def path(place: str | os.PathLike[str]) -> str:
    """From the working directory, where it lies below that; a URL as it is."""
    if "://" in os.fspath(place):
        return os.fspath(place)
    relative = os.path.relpath(place)
    return os.fspath(place) if relative.startswith("..") else relative
