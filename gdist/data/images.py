"""Encoded images (PNG, JPEG and whatever else Pillow reads) as numbers, [rows, channels, height, width].

The images of a row group are decoded in threads: Pillow lets go of Python's lock while it decodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, Any

from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's names by the number of channels
_ROWS_A_THREAD = 32  # fewer are not worth a thread
_LEAST_PIXELS = 4_096  # of an image: smaller ones spend their time in Python, where threads wait for each other


class _Unusable(ValueError):
    """An image that is one, but not as asked for."""


def decode(
    column: pa.Array | pa.ChunkedArray,
    shape: tuple[int, ...],
    *,
    where: str,
    first_row: int | np.ndarray = 0,
    skip_bad: bool = False,
    resize: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """(pixels, bad): uint8 of shape (rows, channels, height, width), as stored (EXIF's rotation is not applied), and which rows
    hold no such image, bool (rows,), None where all do.

    ``column``: binary, or what Hugging Face stores: a struct of ``bytes`` and ``path``. ``shape``: of one image. Another number
    of channels is converted (1: grey, 3: RGB, 4: RGBA); another size is as bad as no image, unless ``resize`` is asked for
    (bilinear). ``first_row``, or a number for each row, and ``where`` place errors. Raises DataError for the first bad row,
    unless such rows may be skipped.
    """
    import numpy as np

    _check(shape, where=where)
    read = _reader(column, where=where)
    out = np.zeros((len(column), *shape), dtype=np.uint8)
    reasons: dict[int, Exception] = {}

    def decode_some(span: tuple[int, int]) -> None:
        for i in range(*span):
            try:
                out[i] = _pixels(read(i), shape, resize=resize)
            except Exception as error:  # Pillow's decoders raise whatever comes to them for what is no image
                reasons[i] = error

    threads = max(min(_threads(), len(out) // _ROWS_A_THREAD), 1) if shape[1] * shape[2] >= _LEAST_PIXELS else 1
    spans = list(itertools.pairwise(len(out) * i // threads for i in range(threads + 1)))
    if threads == 1:
        decode_some(spans[0])
    else:
        with ThreadPoolExecutor(threads, thread_name_prefix="gdist-images") as pool:
            list(pool.map(decode_some, spans))
    if not reasons:
        return out, None
    if not skip_bad:
        first = min(reasons)
        row = first + first_row if isinstance(first_row, int) else int(first_row[first])
        raise _bad_row(row, reasons[first], shape, where=where, others=len(reasons) - 1)
    bad = np.zeros(len(out), dtype=bool)
    bad[list(reasons)] = True
    return out, bad


def shape_of(stored: bytes) -> tuple[int, int, int] | None:
    """(channels, height, width) of an encoded image, by its head; None where Pillow is missing, or knows no such image."""
    try:
        from PIL import Image

        with Image.open(BytesIO(stored)) as image:
            channels = len(image.getbands()) if image.mode in ("L", "RGB", "RGBA") else 1 if image.mode == "1" else 3
            return channels, image.height, image.width
    except Exception:  # Pillow's decoders raise whatever comes to them for what is no image
        return None


def _check(shape: tuple[int, ...], *, where: str) -> None:
    if len(shape) != 3 or shape[0] not in _MODES:
        raise DataError(
            f"`shape` {list(shape)} is not that of an image",
            where=where,
            help="shape=[channels, height, width]; channels: 1 (grey), 3 (RGB) or 4 (RGBA)",
        )


def _pixels(image: Any, shape: tuple[int, ...], *, resize: bool) -> np.ndarray:
    """Shape (channels, height, width), uint8."""
    import numpy as np

    channels, height, width = shape
    with image:
        if image.size != (width, height) and not resize:  # known before it is decoded
            raise _Unusable(f"it is {image.height} high and {image.width} wide")
        if image.mode[0] in "IF":
            raise _Unusable(f"its pixels have more than 8 bits a channel (mode {image.mode})")
        image.load()
        if image.mode != _MODES[channels]:
            image = image.convert(_MODES[channels])
        if image.size != (width, height):
            image = image.resize((width, height), resample=2)  # bilinear
        pixels: np.ndarray = np.asarray(image)
        return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def _reader(column: pa.Array | pa.ChunkedArray, *, where: str) -> Callable[[int], Any]:
    """A function that opens the image of a row; raises what Pillow raises."""
    import pyarrow as pa
    import pyarrow.types as is_

    try:
        from PIL import Image
    except ImportError:
        raise DataError(
            "images are read by Pillow, which is not installed", where=where, help="pip install 'gdist[images]'"
        ) from None
    Image.init()  # all formats now: threads would do it at the same time
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    paths = None
    if is_.is_struct(array.type):
        parts = dict(zip((array.type.field(i).name for i in range(array.type.num_fields)), array.flatten(), strict=True))
        array, paths = parts["bytes"], parts.get("path")
    if not (is_.is_binary(array.type) or is_.is_large_binary(array.type)):
        raise DataError(f"encoded images are bytes, not {array.type}", where=where)
    cells = _Cells(array)

    def read(i: int) -> Any:
        stored = cells[i]
        if stored is not None:
            return Image.open(BytesIO(stored))
        path = paths[i].as_py() if paths is not None else None
        if path is None:
            raise _Unusable("it is missing")
        return Image.open(path)

    return read


class _Cells:
    """The bytes of a binary array by row, without a copy; None where they are missing."""

    def __init__(self, array: pa.Array) -> None:
        import numpy as np
        import pyarrow.types as is_

        validity, offsets, data = array.buffers()
        kind = np.int64 if is_.is_large_binary(array.type) else np.int32
        size = np.dtype(kind).itemsize
        self._offsets = (
            np.frombuffer(offsets, kind, count=len(array) + 1, offset=array.offset * size).tolist() if offsets else [0]
        )
        self._data = memoryview(data if data is not None else b"")
        self._null = array.is_null().to_pylist() if validity is not None else None

    def __getitem__(self, i: int) -> memoryview | None:
        if self._null is not None and self._null[i]:
            return None
        return self._data[self._offsets[i] : self._offsets[i + 1]]


def _threads() -> int:
    """This worker's share of the machine's cores, as torch has it."""
    import torch

    return torch.get_num_threads()


def _bad_row(row: int, reason: Exception, shape: tuple[int, ...], *, where: str, others: int) -> DataError:
    more = f", nor do{'es another' if others == 1 else f' {others} others'} here" if others else ""
    note = str(reason) if isinstance(reason, _Unusable) else "it is damaged, or of a format that Pillow does not know"
    return DataError(
        f"row {row} holds no image of shape {list(shape)}{more}",
        where=where,
        note=note,
        help="write it again, or set `shape` to what is stored; on_bad_rows='skip' leaves such rows out",
    )
