"""Which storage a path is in: this machine, or the one that an URL names, with the user's options for it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gdist.data.storage.filesystem import Entry, Filesystem
from gdist.data.storage.local import LocalFiles


@dataclass(frozen=True)
class Place:
    """``options`` may hold credentials: they are never shown."""

    scheme: str
    options: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def filesystem(self) -> Filesystem:
        return LocalFiles()

    @property
    def has_buckets(self) -> bool:
        return False

    def info(self, path: str) -> Entry | None:
        return self.filesystem().info(path)

    def entries(self, folder: str, *, recursive: bool) -> list[Entry]:
        return self.filesystem().entries(folder, recursive=recursive)

    def shown(self, path: str) -> str:
        return path.removeprefix(os.getcwd() + "/")

    def seen(self, path: str) -> str:
        shown = self.shown(path)
        return shown if shown == path else f"{shown} (in {os.getcwd()})"


LOCAL = Place("file")


def locate(given: str | Path, options: dict[str, Any]) -> tuple[Place, str]:
    return LOCAL, str(Path.cwd() / Path(given).expanduser())
