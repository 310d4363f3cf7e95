"""Encoded images become the numbers that Pillow itself gives; what is no image is named by its row."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from gdist.data.images import decode
from gdist.errors import DataError

HEIGHT, WIDTH = 6, 9


def pixels(rows: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, HEIGHT, WIDTH, channels), dtype=np.uint8)


def encoded(image: np.ndarray, kind: str = "png", **options: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(image.squeeze()).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("type_", [pa.binary(), pa.large_binary()])
def test_png_comes_back_as_it_was_channels_first(channels: int, type_: Any) -> None:
    images = pixels(5, channels)
    column = pa.array([encoded(image) for image in images], type=type_)
    found, bad = decode(column, (channels, HEIGHT, WIDTH), where="x")
    assert (found.dtype, bad) == (np.uint8, None)
    assert (found == images.transpose(0, 3, 1, 2)).all()
    part, _ = decode(column.slice(2, 2), (channels, HEIGHT, WIDTH), where="x")
    assert (part == found[2:4]).all()
    chunked, _ = decode(pa.chunked_array([column[:1], column[1:]]), (channels, HEIGHT, WIDTH), where="x")
    assert (chunked == found).all()


def test_jpeg_is_what_pillow_makes_of_it() -> None:
    stored = encoded(pixels(1)[0], "jpeg", quality=90)
    found, _ = decode(pa.array([stored]), (3, HEIGHT, WIDTH), where="x")
    assert (found[0] == np.asarray(Image.open(BytesIO(stored))).transpose(2, 0, 1)).all()


def test_many_threads_give_what_one_gives() -> None:
    images = pixels(200).repeat(12, axis=1).repeat(12, axis=2)
    column = pa.array([encoded(image) for image in images])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        found, _ = decode(column, (3, 12 * HEIGHT, 12 * WIDTH), where="x")
    finally:
        torch.set_num_threads(before)
    assert (found == images.transpose(0, 3, 1, 2)).all()


def test_other_channels_are_converted_and_other_sizes_only_if_asked_for() -> None:
    grey = pixels(1, 1)
    column = pa.array([encoded(grey[0])])
    found, _ = decode(column, (3, HEIGHT, WIDTH), where="x")
    assert (found == grey.transpose(0, 3, 1, 2)).all()
    flat = pa.array([encoded(np.full((4, 4, 3), 77, dtype=np.uint8))])
    found, _ = decode(flat, (3, HEIGHT, WIDTH), where="x", resize=True)
    assert (found == 77).all()
    with pytest.raises(DataError, match=r"row 0 holds no image of shape \[3, 6, 9\]") as caught:
        decode(flat, (3, HEIGHT, WIDTH), where="x")
    assert caught.value.note == "it is 4 high and 4 wide"


def test_what_hugging_face_stores_is_read_from_bytes_or_a_path(tmp_path: Path) -> None:
    images = pixels(2)
    (tmp_path / "b.png").write_bytes(encoded(images[1]))
    cells = [{"bytes": encoded(images[0]), "path": "a.png"}, {"bytes": None, "path": str(tmp_path / "b.png")}]
    found, _ = decode(pa.array(cells), (3, HEIGHT, WIDTH), where="x")
    assert (found == images.transpose(0, 3, 1, 2)).all()


def bad_cells() -> dict[str, bytes | None]:
    whole = encoded(pixels(1)[0])
    damaged = bytearray(whole)
    damaged[60] ^= 255  # inside of the compressed pixels, which have a checksum
    wide = BytesIO()
    Image.fromarray(np.zeros((HEIGHT, WIDTH), dtype=np.uint16)).save(wide, "png")
    return {
        "missing": None,
        "empty": b"",
        "text": b"no image at all",
        "truncated": whole[:-40],
        "damaged": bytes(damaged),
        "16 bits": wide.getvalue(),
    }


@pytest.mark.parametrize("kind", list(bad_cells()))
def test_a_row_without_an_image_is_named_or_left_out(kind: str) -> None:
    whole = [encoded(image) for image in pixels(3)]
    column = pa.array([whole[0], bad_cells()[kind], whole[1], bad_cells()[kind], whole[2]], type=pa.binary())
    with pytest.raises(DataError, match=r"row 701 holds no image.*, nor does another here") as caught:
        decode(column, (3, HEIGHT, WIDTH), where="a.parquet, row group 1", first_row=700)
    assert caught.value.where == "a.parquet, row group 1"
    with pytest.raises(DataError, match="row 13 "):
        decode(column, (3, HEIGHT, WIDTH), where="x", first_row=np.array([10, 13, 14, 20, 30]))
    found, bad = decode(column, (3, HEIGHT, WIDTH), where="x", skip_bad=True)
    assert bad is not None
    assert bad.tolist() == [False, True, False, True, False]
    assert (found[~bad] == pixels(3).transpose(0, 3, 1, 2)).all()


def test_a_shape_that_is_no_image_s_and_a_column_of_no_bytes_are_refused() -> None:
    for shape in ((6, 9), (2, 6, 9)):
        with pytest.raises(DataError, match="is not that of an image"):
            decode(pa.array([b""]), shape, where="x")
    with pytest.raises(DataError, match="encoded images are bytes, not string"):
        decode(pa.array(["a"]), (3, 6, 9), where="x")


def test_no_rows_are_no_images() -> None:
    found, bad = decode(pa.array([], type=pa.binary()), (3, 6, 9), where="x")
    assert (found.shape, bad) == ((0, 3, 6, 9), None)
