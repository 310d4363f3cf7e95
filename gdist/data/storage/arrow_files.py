"""``s3://`` and ``gs://`` through pyarrow's own filesystems."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from gdist.data.storage.filesystem import Entry, Filesystem, require_same
from gdist.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs

_CONNECT_TIMEOUT_S = 5.0
_REQUEST_TIMEOUT_S = 20.0
_GCS_RETRY_S = 5.0  # of its own; gdist asks again after that
_S3_OPTIONS = ("access_key", "secret_key", "session_token", "anonymous", "region", "scheme", "endpoint_override", "role_arn")
_OTHER_OPTIONS = (
    "connect_timeout",
    "request_timeout",
    "tls_ca_file_path",
    "access_token",
    "project_id",
    "attempts",
    "deadline_s",
)
_SECOND_NS = 1_000_000_000


class ArrowFiles(Filesystem):
    """An object store: ``bucket/key``. A folder is a common start of keys."""

    def __init__(self, filesystem: pafs.FileSystem) -> None:
        self.filesystem = filesystem

    def info(self, path: str) -> Entry | None:
        import pyarrow.fs as pafs

        found = self.filesystem.get_file_info(path)
        return None if found.type == pafs.FileType.NotFound else _entry(found)

    def entries(self, folder: str, *, recursive: bool) -> list[Entry]:
        import pyarrow.fs as pafs

        selector = pafs.FileSelector(folder, recursive=recursive, allow_not_found=True)
        try:
            return [_entry(found) for found in self.filesystem.get_file_info(selector)]
        except OSError as error:
            if "NO_SUCH_BUCKET" in str(error):
                return []
            raise

    def open(self, found: Entry) -> pa.NativeFile:
        file = self.filesystem.open_input_file(found.path)
        require_same(found, size=file.size(), version=_written(file.metadata()))  # as its header says, asked for anyway
        return file


def open_s3(bucket: str, options: Mapping[str, Any]) -> ArrowFiles:
    """One attempt at each request: gdist counts them, and asks again. The region of a bucket of Amazon's is looked up if it is
    not given."""
    import pyarrow.fs as pafs

    known: dict[str, Any] = {"connect_timeout": _CONNECT_TIMEOUT_S, "request_timeout": _REQUEST_TIMEOUT_S}
    known |= {"retry_strategy": pafs.AwsStandardS3RetryStrategy(max_attempts=1)}
    endpoint = options.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        scheme, _, host = str(endpoint).rpartition("://")
        known |= {"scheme": scheme} if scheme else {}
        options = {**options, "endpoint_override": host.rstrip("/")}
    elif not any(map(os.environ.get, ("AWS_REGION", "AWS_DEFAULT_REGION"))):
        known |= {"region": options.get("region") or pafs.resolve_s3_region(bucket)}
    return ArrowFiles(_made(pafs.S3FileSystem, {**known, **options}))


def open_gcs(options: Mapping[str, Any]) -> ArrowFiles:
    import pyarrow.fs as pafs

    return ArrowFiles(_made(pafs.GcsFileSystem, {"retry_time_limit": timedelta(seconds=_GCS_RETRY_S), **options}))


def _made(kind: type[pafs.FileSystem], options: Mapping[str, Any]) -> pafs.FileSystem:
    try:
        return kind(**options)
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None:
            raise
        close = difflib.get_close_matches(unknown[1], _S3_OPTIONS + _OTHER_OPTIONS, n=1)
    help = f"did you mean `{close[0]}`?" if close else f"it takes those of pyarrow.fs.{kind.__name__}"
    raise DataError(f"`storage` has an option `{unknown[1]}` that {kind.__name__} does not know", help=help)


def _entry(found: pafs.FileInfo) -> Entry:
    # Whole seconds: a store tells them of one object, and finer ones when it lists several.
    version = "" if found.mtime_ns is None else str(found.mtime_ns // _SECOND_NS * _SECOND_NS)
    return Entry(found.path, found.is_file, found.size or 0, version)


def _written(header: Mapping[str | bytes, Any] | None) -> str:
    """The version that S3 tells of an open file; "" where none is told."""
    told = (header or {}).get("Last-Modified", b"")
    try:
        return str(int(datetime.fromisoformat(told.decode()).timestamp()) * _SECOND_NS)
    except ValueError:
        return ""
