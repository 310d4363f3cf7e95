"""What went wrong with a storage, as a DataError: which file, why, and what to do. Credentials never appear."""

from __future__ import annotations

from gdist.errors import DataError


def cannot_read(shown: str, error: BaseException) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError("a data file is gone", where=shown, help="it was there when the data was looked up; name it again")
    if isinstance(error, PermissionError):
        return DataError("no permission to read the data", where=shown, note=reason(error))
    return DataError("cannot read a data file", where=shown, note=reason(error))


def reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
