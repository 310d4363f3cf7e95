"""One S3 server for all tests here: it takes half a second to start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.fs as pafs
import pytest

from tests.data.storage.servers import options, s3_server


@pytest.fixture(scope="package")
def s3_port() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture(scope="package")
def s3(s3_port: int) -> dict[str, Any]:
    """The options for a server that has ``s3://training-data`` with a few files in it."""
    store = pafs.S3FileSystem(**options(s3_port), allow_bucket_creation=True)
    store.create_dir("training-data")
    for name, content in FILES.items():
        with store.open_output_stream(f"training-data/{name}") as out:
            out.write(content)
    return options(s3_port)


LARGE = bytes(range(256)) * 4096  # 1 MiB
FILES = {
    "large.bin": LARGE,
    "tables/b.parquet": b"bb",
    "tables/a.parquet": b"a",
    "tables/_SUCCESS": b"",
    "tables/_temporary/0.parquet": b"not yet",
    "tables/notes.txt": b"not data",
    "tables/deep/c.parquet": b"ccc",
    "years/year=2023/month=12/x.parquet": b"1",
    "years/year=2024/month=01/x.parquet": b"2",
    "years/year=2024/month=02/y%20z.parquet": b"3",
}
