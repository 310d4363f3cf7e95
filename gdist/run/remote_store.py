"""Checkpoints in an object store: ``s3://``, ``gs://``, or any URL that fsspec knows. An object appears whole, or not at all.

The store is asked again when the network fails it, with a bound; credentials come from the environment or the URL, and are
never shown.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from gdist.data.storage.failures import GONE, cause_of
from gdist.data.storage.place import locate
from gdist.errors import CheckpointError
from gdist.run.store import Stored

if TYPE_CHECKING:
    import pyarrow.fs as pafs
    from torch import Tensor

    from gdist.data.storage.filesystem import Filesystem

T = TypeVar("T")

_PIECE = 8 << 20
_PATIENCE = {"attempts": 4, "deadline_s": 30.0}


class RemoteStore:
    """``url``: under which the checkpoints' folders lie; it need not exist yet, its bucket must."""

    def __init__(self, url: str) -> None:
        self._place, self._root = locate(url, _PATIENCE)

    def listing(self) -> dict[str, dict[str, Stored]]:
        import pyarrow.fs as pafs

        selector = pafs.FileSelector(self._root, recursive=True, allow_not_found=True)
        found: dict[str, dict[str, Stored]] = {}
        for info in self._ask(lambda: self._filesystem().get_file_info(selector)) or ():
            folder, _, file = info.path.removeprefix(self._root).strip("/").rpartition("/")
            if info.is_file and folder and "/" not in folder:
                # an object's time is told in whole seconds; that it is there must be seen
                written = max((info.mtime_ns or 0) / 1e9, 1e-9)
                found.setdefault(folder, {})[file] = Stored(info.size or 0, written)
        return found

    def make(self, folder: str, *, new: bool) -> None:
        import pyarrow.fs as pafs

        path = f"{self._root}/{folder}"
        if new:
            selector = pafs.FileSelector(path, allow_not_found=True)
            if any(info.is_file for info in self._ask(lambda: self._filesystem().get_file_info(selector)) or ()):
                raise FileExistsError(self.place(folder))
        if not self._place.has_buckets:
            self._ask(lambda: self._filesystem().create_dir(path, recursive=True))

    def write(self, folder: str, file: str, content: Iterable[bytes | memoryview]) -> dict[str, int | str]:
        pieces = list(content)
        digest, size = hashlib.sha256(), 0
        for piece in pieces:
            digest.update(piece)
            size += len(piece)

        def upload() -> None:
            with self._filesystem().open_output_stream(f"{self._root}/{folder}/{file}") as out:
                for piece in pieces:
                    out.write(piece)

        self._ask(upload, folder, file)
        return {"bytes": size, "sha256": digest.hexdigest()}

    def pieces(self, folder: str, file: str) -> Iterator[bytes]:
        content = self._read(folder, file)
        for start in range(0, len(content), _PIECE):
            yield content[start : start + _PIECE]

    def tensors(self, folder: str, file: str) -> tuple[dict[str, Tensor], dict[str, str]]:
        import safetensors.torch

        try:
            content = self._read(folder, file)
            (size,) = struct.unpack("<Q", content[:8])
            words = json.loads(content[8 : 8 + size]).get("__metadata__", {})
            return safetensors.torch.load(content), words
        except FileNotFoundError:
            raise CheckpointError(f"there is no {file}", where=self.place(folder, file)) from None
        except (ValueError, struct.error, safetensors.SafetensorError) as error:
            raise CheckpointError(f"{file} cannot be read: {error}", where=self.place(folder, file)) from error

    def remove(self, folder: str, *, first: str) -> None:
        path = f"{self._root}/{folder}"
        self._ask(lambda: self._filesystem().delete_file(f"{path}/{first}"), folder, first)
        self._ask(lambda: self._filesystem().delete_dir(path), folder)

    def place(self, folder: str, file: str | None = None) -> str:
        return self._place.shown("/".join(filter(None, (self._root, folder, file))))

    def _read(self, folder: str, file: str) -> bytes:
        def read() -> bytes:
            with self._filesystem().open_input_stream(f"{self._root}/{folder}/{file}") as source:
                return bytes(source.read())

        content = self._ask(read, folder, file)
        if content is None:
            raise FileNotFoundError(self.place(folder, file))
        return content

    def _ask(self, question: Callable[[], T], folder: str = "", file: str | None = None) -> T | None:
        """The answer; None for what is not there. Raises DataError."""

        def asked() -> T | None:
            try:
                return question()
            except FileNotFoundError as error:
                if cause_of(error) is GONE:
                    return None
                raise

        return self._place.ask(asked, shown=self.place(folder, file))

    def _filesystem(self) -> pafs.FileSystem:
        return _as_arrow(self._place.filesystem())


def _as_arrow(files: Filesystem) -> Any:
    import pyarrow.fs as pafs

    inner = files.filesystem  # type: ignore[attr-defined]  # both of the remote kinds have one
    return inner if isinstance(inner, pafs.FileSystem) else pafs.PyFileSystem(pafs.FSSpecHandler(inner))
